package release

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks/report"
)

// ReportAsset is the asset that a release is compared with by the next.
const ReportAsset = "report.json"

// FindPrevious returns the newest published release whose version is lower
// than version, with its report where it has one; nil if there is none.
func FindPrevious(ctx context.Context, client *github.Client, owner, repo string, rules Rules, version string) (*Previous, error) {
	var best *Previous
	var from *github.RepositoryRelease
	opt := &github.ListOptions{PerPage: 100}
	for {
		page, resp, err := client.Repositories.ListReleases(ctx, owner, repo, opt)
		if err != nil {
			return nil, fmt.Errorf("list releases: %w", err)
		}
		for _, rel := range page {
			v, ok := Untag(rules.TagPattern, rel.GetTagName())
			if !ok || rel.GetDraft() || rules.Scheme.Valid(v) != nil || rules.Scheme.Compare(v, version) >= 0 {
				continue
			}
			if Prerelease(v) && !Prerelease(version) {
				continue // a release is compared with the last release
			}
			if best == nil || rules.Scheme.Compare(v, best.Version) > 0 {
				best, from = &Previous{Version: v, Tag: rel.GetTagName()}, rel
			}
		}
		if resp.NextPage == 0 {
			break
		}
		opt.Page = resp.NextPage
	}
	if best == nil {
		return nil, nil
	}
	for _, a := range from.Assets {
		if a.GetName() != ReportAsset {
			continue
		}
		in, _, err := client.Repositories.DownloadReleaseAsset(ctx, owner, repo, a.GetID(), http.DefaultClient)
		if err != nil {
			return nil, fmt.Errorf("download %s of %s: %w", ReportAsset, best.Tag, err)
		}
		best.Report, err = report.DecodeReport(in)
		if err = errors.Join(err, in.Close()); err != nil {
			return nil, fmt.Errorf("read %s of %s: %w", ReportAsset, best.Tag, err)
		}
	}
	return best, nil
}
