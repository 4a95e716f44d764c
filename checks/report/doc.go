// Package report turns one checks.Report into everything people and programs
// read: a terminal, Markdown, HTML, JSON and JUnit XML.
//
// Write leaves all files in a folder. Headline is the answer in one line;
// Markdown, HTML, Terminal, JUnit and Encode render a whole report;
// DecodePlan, DecodeResults and DecodeReport read documents strictly, since
// they come from jobs that ran a pull request's code. Text from packages,
// guests and file names is hostile: each renderer makes it harmless for its
// reader.
package report
