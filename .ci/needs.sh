# What browser/run and conformance/run share: what both need, and how it is said that something is
# missing. They read this in their own folder.

script=${PWD##*/}/run

# Cargo is run in more than one folder; below each, a relative path would be another.
[[ -z ${CARGO_TARGET_DIR:-} ]] ||
  CARGO_TARGET_DIR=$(cd "$OLDPWD" && realpath -m "$CARGO_TARGET_DIR")

fail() {
  printf '%s: %s\n' "$script" "$1" >&2
  exit 1
}

needs_rust_and_node() {
  command -v cargo >/dev/null || fail 'Rust (cargo) is missing.'
  command -v node >/dev/null || fail 'Node.js (node) is missing; version 20.19 or later is needed.'
  command -v npm >/dev/null || fail 'npm is missing; it comes with Node.js.'
  node -e 'const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' ||
    fail "Node.js $(node --version) is too old; version 20.19 or later is needed."
}
