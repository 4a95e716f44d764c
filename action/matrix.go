package action

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// Matrix is the jobs of a plan, as `strategy.matrix` takes them.
type Matrix struct {
	Include []map[string]any `json:"include"`
}

// plain is what may become part of a job's name or an artifact's: no
// expression, no separator of paths, nothing a shell or a log acts upon.
var plain = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 _.,+()-]{0,99}$`)

// image is the reference of a container image.
var image = regexp.MustCompile(`^[a-z0-9][a-z0-9._/:-]{0,200}(@sha256:[0-9a-f]{64})?$`)

// ParseMatrix reads a matrix and holds it to what Actions can run: at most
// MaxJobs jobs of numbers, booleans and plain words. Names of packages reach
// a workflow only through documents, never through the matrix's words.
func ParseMatrix(data []byte) (Matrix, error) {
	var m Matrix
	if err := json.Unmarshal(data, &m); err != nil {
		return Matrix{}, fmt.Errorf("read the matrix: %w", err)
	}
	if len(m.Include) > MaxJobs {
		return Matrix{}, fmt.Errorf("read the matrix: %d jobs are more than the %d that Actions runs", len(m.Include), MaxJobs)
	}
	for i, job := range m.Include {
		for key, value := range job {
			switch v := value.(type) {
			case float64, bool:
			case string:
				if v != "" && !plain.MatchString(v) && !(key == "container" && image.MatchString(v)) {
					return Matrix{}, fmt.Errorf("read the matrix: job %d has a %s that is no plain word", i, key)
				}
			default:
				return Matrix{}, fmt.Errorf("read the matrix: job %d has a %s of type %T", i, key, value)
			}
		}
	}
	return m, nil
}
