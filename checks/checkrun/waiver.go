package checkrun

import (
	"encoding/json"
	"strings"
)

// Waiver is a case that a maintainer let pass for one commit.
type Waiver struct {
	Case   string `json:"case"` // as it was named: SUBJECT/NAME or SUBJECT
	Reason string `json:"reason"`
	By     string `json:"by"`
	SHA    string `json:"sha"`
	// URL is the comment.
	URL string `json:"url,omitempty"`
}

const waiverMark = "<!-- asterbot:waivers "

// WaiverText is the part of the verdict's text that carries the waivers on, to
// the release notes: a table for people is in the summary, this is for programs.
func WaiverText(list []Waiver) string {
	if len(list) == 0 {
		return ""
	}
	// Marshal writes < and > as \u003c and \u003e, so that nothing can end the
	// HTML comment.
	b, err := json.Marshal(list)
	if err != nil {
		return ""
	}
	return waiverMark + strings.ReplaceAll(string(b), "--", "-\\u002d") + " -->\n"
}

// Waivers reads them back out of a verdict's text. Only the text of a check run
// that the App made is to be believed.
func Waivers(text string) []Waiver {
	_, rest, ok := strings.Cut(text, waiverMark)
	if !ok {
		return nil
	}
	body, _, ok := strings.Cut(rest, " -->")
	if !ok {
		return nil
	}
	var list []Waiver
	if json.Unmarshal([]byte(body), &list) != nil {
		return nil
	}
	return list
}
