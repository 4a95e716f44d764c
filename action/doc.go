// Package action speaks GitHub Actions: it reads the event that started a run
// and writes logs, outputs, summaries and annotations that nothing from a pull
// request can forge.
//
// ParseEvent turns the event into what is to be compared. A Log is the
// step's standard output: Foreign is the writer for every byte that others
// wrote, Annotate, Group and Mask are the commands of ours in between.
// A Files writes the step's outputs and summary. Matrix checks the jobs of a plan
// against what Actions can run.
package action
