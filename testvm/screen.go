package testvm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
)

// ErrNoScreen is why there is no screenshot of a machine without a screen.
var ErrNoScreen = errors.New("machine has no screen")

// screenLimit bounds a screenshot: 4K in PPM.
const screenLimit = 64 << 20

// Screenshot captures what the guest shows, as a PNG.
func (g *Guest) Screenshot(ctx context.Context) ([]byte, error) {
	if g.Machine.NoScreen {
		return nil, fmt.Errorf("take screenshot: %w", ErrNoScreen)
	}
	scratch, err := newScratch()
	if err != nil {
		return nil, fmt.Errorf("take screenshot: %w", err)
	}
	defer scratch.remove()
	path := scratch.dir + "/screen.ppm"
	if err := g.QMP.Do(ctx, "screendump", map[string]string{"filename": path}, nil); err != nil {
		return nil, fmt.Errorf("take screenshot: %w", err)
	}
	ppm, err := readHead(path, screenLimit)
	if err != nil {
		return nil, fmt.Errorf("take screenshot: %w", err)
	}
	img, err := decodePPM(ppm)
	if err != nil {
		return nil, fmt.Errorf("take screenshot: %w", err)
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		return nil, fmt.Errorf("take screenshot: %w", err)
	}
	return out.Bytes(), nil
}

// decodePPM reads QEMU's own format, which every version of it writes.
func decodePPM(p []byte) (image.Image, error) {
	var w, h, depth int
	if _, err := fmt.Fscanf(bytes.NewReader(p), "P6\n%d %d\n%d\n", &w, &h, &depth); err != nil {
		return nil, fmt.Errorf("decode screen: %w", err)
	}
	size := w * h * 3
	if depth != 255 || w <= 0 || h <= 0 || w > 1<<14 || h > 1<<14 || len(p) < size {
		return nil, fmt.Errorf("decode screen: %d by %d pixels of depth %d in %d bytes", w, h, depth, len(p))
	}
	pixels := p[len(p)-size:]
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := 0; i < w*h; i++ {
		img.Pix[4*i], img.Pix[4*i+1], img.Pix[4*i+2], img.Pix[4*i+3] = pixels[3*i], pixels[3*i+1], pixels[3*i+2], 255
	}
	return img, nil
}

// Blank reports whether a picture shows nothing: all but a thousandth of it
// is of one colour. A lone text cursor is nothing.
func Blank(screenshot []byte) (bool, error) {
	img, err := png.Decode(bytes.NewReader(screenshot))
	if err != nil {
		return false, fmt.Errorf("decode screenshot: %w", err)
	}
	counts := map[color.RGBA]int{}
	most := 0
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, bl, _ := img.At(x, y).RGBA()
			c := color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(bl >> 8), 255}
			counts[c]++
			most = max(most, counts[c])
		}
	}
	all := b.Dx() * b.Dy()
	return all-most <= all/1000, nil
}

func readHead(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}
