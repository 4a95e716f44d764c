package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// recorded is a delivery in a file: a bare payload, or one with its event as
// GitHub's page of deliveries and its API show it.
type recorded struct {
	Event    string          `json:"event"`
	GUID     string          `json:"guid"`
	Payload  json.RawMessage `json:"payload"`
	Delivery struct {
		Payload json.RawMessage `json:"payload"`
	} `json:"request"`
}

func replayCommand(e *env) *cobra.Command {
	var address, event, secretFile string
	c := &cobra.Command{
		Use:   "replay FILE",
		Short: "Send a recorded delivery, signed, to a running server",
		Long: `replay signs the delivery in FILE with the webhook secret and sends it to a running server.

FILE is a payload (then --event names its event), or a delivery as GitHub's API shows it, with "event" and
"request": {"payload": ...}.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := os.ReadFile(args[0])
			if err != nil {
				return usage("%w", err)
			}
			r := recorded{GUID: rand.Text()}
			if err := json.Unmarshal(data, &r); err != nil {
				return usage("%s is not JSON: %w", args[0], err)
			}
			body := data
			if p := r.Delivery.Payload; len(p) > 0 {
				body = p
			} else if r.Event != "" && len(r.Payload) > 0 {
				body = r.Payload
			}
			if event != "" {
				r.Event = event
			}
			if r.Event == "" {
				return usage("%s does not name its event: say --event", args[0])
			}
			var files []string
			if secretFile != "" {
				files = []string{secretFile}
			}
			secrets, err := webhookSecrets(e, files)
			if err != nil {
				return err
			}
			m := hmac.New(sha256.New, []byte(secrets[0]))
			m.Write(body)
			req, err := http.NewRequestWithContext(c.Context(), http.MethodPost, address, bytes.NewReader(body))
			if err != nil {
				return usage("--to: %w", err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("User-Agent", "asterbot-replay")
			req.Header.Set("X-GitHub-Event", r.Event)
			req.Header.Set("X-GitHub-Delivery", r.GUID)
			req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(m.Sum(nil)))
			resp, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
			if err != nil {
				return couldNotLook(fmt.Errorf("send delivery: %w", err))
			}
			defer resp.Body.Close()
			answer, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
			fmt.Fprintf(e.Stdout, "%s %s: %s %s", r.Event, r.GUID, resp.Status, answer)
			if len(answer) == 0 {
				fmt.Fprintln(e.Stdout)
			}
			if resp.StatusCode >= 300 {
				return couldNotLook(fmt.Errorf("the server answered %s", resp.Status))
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&address, "to", "http://127.0.0.1:8080/webhook", "the server's webhook `URL`")
	f.StringVar(&event, "event", "", "the `name` of the event, where the file does not say it")
	f.StringVar(&secretFile, "webhook-secret-file", "", "the `file` with the webhook secret")
	_ = c.MarkFlagFilename("webhook-secret-file")
	return c
}
