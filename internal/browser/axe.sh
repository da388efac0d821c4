#!/usr/bin/env bash
# Brings axe-core, which judges a page as assistive technology meets it, from the
# npm registry into the cache, once. The release and its digest are pinned.
set -euo pipefail
version=4.14.1
integrity='FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=='
cache="${XDG_CACHE_HOME:-$HOME/.cache}/proxstation/browser"
mkdir -p "$cache"
cd "$cache"
tarball="axe-core-$version.tgz"
[ -f "$tarball" ] || npm pack --silent "axe-core@$version" >/dev/null
if [ "$(openssl dgst -sha512 -binary "$tarball" | base64 -w0)" != "$integrity" ]; then
  rm -f "$tarball"
  echo "axe.sh: $tarball is not the pinned release" >&2
  exit 1
fi
tar xzf "$tarball" package/axe.min.js
echo "$cache/package/axe.min.js"
