# Two images of one binary, built by the repository's own workflow: there it is tried, not on a
# developer's machine without a container engine.
#
#   docker build --target server .   the GitHub App: a static binary, no shell, not root
#   docker build --target runner .   what a runner needs: Nix, QEMU, firmware, the binary
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/bot ./cmd/bot

FROM scratch AS server
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/bot /bot
USER 65532:65532
EXPOSE 8080 9090
ENV ASTERBOT_LISTEN=0.0.0.0:8080
ENTRYPOINT ["/bot"]
CMD ["serve"]

FROM debian:bookworm-slim AS runner
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl git ovmf qemu-system-x86 qemu-utils xz-utils zstd \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1001 runner \
 && install -d -o runner /nix /home/runner/.config /home/runner/.config/nix
USER runner
ENV USER=runner PATH=/home/runner/.nix-profile/bin:/usr/local/bin:/usr/bin:/bin
WORKDIR /home/runner
# The version that action/setup.sh installs: Debian's must not meet strangers' code, and asterbot refuses to use it so.
# Nix's sandbox needs user namespaces of the engine: --security-opt seccomp=unconfined, or a privileged container.
COPY --chown=runner action/setup.sh /tmp/setup.sh
RUN version=$(sed -n 's/^nix_version=//p' /tmp/setup.sh) \
 && curl --fail --silent --show-error --location --proto '=https' --output /tmp/install-nix "https://releases.nixos.org/nix/nix-$version/install" \
 && sh /tmp/install-nix --no-daemon --no-channel-add \
 && rm /tmp/install-nix /tmp/setup.sh \
 && printf '%s\n' 'sandbox = true' 'sandbox-fallback = false' 'accept-flake-config = false' >~/.config/nix/nix.conf
COPY --from=build /out/bot /usr/local/bin/bot
ENTRYPOINT ["/usr/local/bin/bot"]
