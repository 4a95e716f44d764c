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
 && apt-get install -y --no-install-recommends ca-certificates git nix-bin ovmf qemu-system-x86 qemu-utils xz-utils \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1001 runner \
 && install -d -o runner /nix /nix/store /nix/var
COPY --from=build /out/bot /usr/local/bin/bot
USER runner
WORKDIR /home/runner
ENTRYPOINT ["/usr/local/bin/bot"]
