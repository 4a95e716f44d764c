package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/asterinas/asterbot/internal/config"
)

// docsCommand makes what a release carries beside the binaries.
func docsCommand(e *env) *cobra.Command {
	c := &cobra.Command{Use: "docs", Short: "Write man pages, or the configuration's JSON Schema", Hidden: true}
	var out string
	man := &cobra.Command{
		Use: "man", Short: "Write a man page for each command", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir := e.path(out)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return usage("%w", err)
			}
			// No date of today: the same source gives the same pages.
			date := time.Unix(0, 0).UTC()
			return doc.GenManTree(c.Root(), &doc.GenManHeader{Title: "BOT", Section: "1", Source: "asterbot " + version, Date: &date}, dir)
		},
	}
	man.Flags().StringVar(&out, "out", "man", "the `folder` for the pages")
	schema := &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of " + config.Path, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(e.Stdout, "%s", config.Schema())
			return err
		},
	}
	c.AddCommand(man, schema)
	return c
}
