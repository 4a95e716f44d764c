package config

import _ "embed"

//go:embed schema.json
var schemaJSON []byte

// Schema returns the JSON Schema of the configuration, for editors. It is
// generated from Config by the tests of this package.
func Schema() []byte { return schemaJSON }
