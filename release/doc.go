// Package release decides whether a release may be made, writes its notes, and
// publishes it so that every step can be run again.
//
// Gate is the one judgement for releases, whoever asks: a pull request that
// wants to know what would stop a release today, the workflow that makes
// one, a tag that a person pushed. Notes renders what Gate was given. A
// Publisher then brings GitHub's release to that state: draft, assets, tag,
// published, in this order.
package release
