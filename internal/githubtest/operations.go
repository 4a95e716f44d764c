package githubtest

import "net/http"

// operation is one of GitHub's operations: its id in the OpenAPI description,
// the permission a token needs ("" for none, "app" for the App's own JWT), and
// what it does.
type operation struct {
	id     string
	need   string
	handle func(*call) (int, any)
}

// operations are all that the server serves.
var operations = []operation{
	{"apps/get-authenticated", "app", (*call).getApp},
	{"apps/list-installations", "app", (*call).listInstallations},
	{"apps/get-installation", "app", (*call).getInstallation},
	{"apps/get-repo-installation", "app", (*call).getRepoInstallation},
	{"apps/create-installation-access-token", "app", (*call).createToken},
	{"apps/list-webhook-deliveries", "app", (*call).listDeliveries},
	{"apps/get-webhook-delivery", "app", (*call).getDelivery},
	{"apps/redeliver-webhook-delivery", "app", (*call).redeliver},
	{"apps/create-from-manifest", "", (*call).convertManifest},
	{"apps/list-repos-accessible-to-installation", "metadata:read", (*call).listInstallationRepos},
	{"rate-limit/get", "", (*call).getRateLimit},

	{"repos/get", "metadata:read", (*call).getRepo},
	{"repos/get-content", "contents:read", (*call).getContent},
	{"repos/get-branch", "contents:read", (*call).getBranch},
	{"repos/get-commit", "contents:read", (*call).getCommit},
	{"repos/compare-commits-with-basehead", "contents:read", (*call).compare},
	{"repos/get-collaborator-permission-level", "metadata:read", (*call).getPermission},
	{"git/get-ref", "contents:read", (*call).getRef},
	{"git/list-matching-refs", "contents:read", (*call).matchingRefs},
	{"git/update-ref", "contents:write", (*call).updateRef},
	{"git/create-tree", "contents:write", (*call).createTree},
	{"git/create-commit", "contents:write", (*call).createCommit},
	{"git/get-commit", "contents:read", (*call).getGitCommit},
	{"git/create-ref", "contents:write", (*call).createRef},
	{"git/delete-ref", "contents:write", (*call).deleteRef},
	{"git/create-tag", "contents:write", (*call).createTag},
	{"git/get-tag", "contents:read", (*call).getTag},

	{"pulls/list", "pull_requests:read", (*call).listPulls},
	{"pulls/get", "pull_requests:read", (*call).getPull},
	{"pulls/list-files", "pull_requests:read", (*call).listPullFiles},
	{"repos/list-pull-requests-associated-with-commit", "pull_requests:read", (*call).pullsOfCommit},
	{"issues/list-for-repo", "issues:read", (*call).listIssues},
	{"issues/create", "issues:write", (*call).createIssue},
	{"issues/update", "issues:write", (*call).updateIssue},
	{"issues/list-comments", "pull_requests:read", (*call).listComments},
	{"issues/create-comment", "pull_requests:write", (*call).createComment},
	{"issues/get-comment", "pull_requests:read", (*call).getComment},
	{"issues/update-comment", "pull_requests:write", (*call).updateComment},
	{"reactions/list-for-issue-comment", "pull_requests:read", (*call).listReactions},
	{"reactions/create-for-issue-comment", "pull_requests:write", (*call).createReaction},
	{"reactions/delete-for-issue-comment", "pull_requests:write", (*call).deleteReaction},

	{"checks/create", "checks:write", (*call).createCheckRun},
	{"checks/update", "checks:write", (*call).updateCheckRun},
	{"checks/get", "checks:read", (*call).getCheckRun},
	{"checks/list-annotations", "checks:read", (*call).listAnnotations},
	{"checks/list-for-ref", "checks:read", (*call).listCheckRuns},
	{"checks/list-suites-for-ref", "checks:read", (*call).listCheckSuites},

	{"actions/list-repo-workflows", "actions:read", (*call).listWorkflows},
	{"actions/list-workflow-runs-for-repo", "actions:read", (*call).listRuns},
	{"actions/list-workflow-runs", "actions:read", (*call).listWorkflowRuns},
	{"actions/get-workflow-run", "actions:read", (*call).getRun},
	{"actions/list-jobs-for-workflow-run", "actions:read", (*call).listJobs},
	{"actions/list-workflow-run-artifacts", "actions:read", (*call).listArtifacts},
	{"actions/download-artifact", "actions:read", (*call).downloadArtifact},
	{"actions/re-run-workflow", "actions:write", (*call).rerun},
	{"actions/re-run-workflow-failed-jobs", "actions:write", (*call).rerunFailed},
	{"actions/cancel-workflow-run", "actions:write", (*call).cancelRun},
	{"actions/create-workflow-dispatch", "actions:write", (*call).dispatch},
	{"actions/get-github-actions-permissions-repository", "administration:read", (*call).getActionsPermissions},
	{"actions/get-github-actions-default-workflow-permissions-repository", "administration:read", (*call).getWorkflowPermissions},
	{"actions/get-fork-pr-contributor-approval-permissions-repository", "administration:read", (*call).getForkApproval},

	{"repos/get-repo-rulesets", "metadata:read", (*call).listRulesets},
	{"repos/get-repo-ruleset", "metadata:read", (*call).getRuleset},
	{"repos/create-repo-ruleset", "administration:write", (*call).createRuleset},
	{"repos/update-repo-ruleset", "administration:write", (*call).updateRuleset},
	{"repos/get-branch-rules", "metadata:read", (*call).branchRules},

	{"repos/list-releases", "contents:read", (*call).listReleases},
	{"repos/get-latest-release", "contents:read", (*call).latestRelease},
	{"repos/get-release-by-tag", "contents:read", (*call).releaseByTag},
	{"repos/get-release", "contents:read", (*call).getRelease},
	{"repos/create-release", "contents:write", (*call).createRelease},
	{"repos/update-release", "contents:write", (*call).updateRelease},
	{"repos/delete-release", "contents:write", (*call).deleteRelease},
	{"repos/list-release-assets", "contents:read", (*call).listAssets},
	{"repos/upload-release-asset", "contents:write", (*call).uploadAsset},
	{"repos/get-release-asset", "contents:read", (*call).getAsset},
	{"repos/delete-release-asset", "contents:write", (*call).deleteAsset},
}

// Operations are the ids of the operations that the server serves.
func Operations() []string {
	ids := make([]string, len(operations))
	for i, o := range operations {
		ids[i] = o.id
	}
	return ids
}

// content says which operations count as content writes for the secondary rate
// limit.
func content(method string) bool {
	return method == http.MethodPost || method == http.MethodPatch || method == http.MethodPut || method == http.MethodDelete
}
