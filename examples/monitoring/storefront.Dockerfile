# SPDX-License-Identifier: Apache-2.0
# The storefront, built from the whole repository: docker compose gives it as the context.

FROM swift:6.3-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
    libmicrohttpd-dev libsqlite3-dev pkg-config zlib1g-dev && rm -rf /var/lib/apt/lists/*
COPY . /outrider
WORKDIR /outrider
RUN swift build -c release --package-path examples --product storefront \
    && cp "$(swift build -c release --package-path examples --show-bin-path)/storefront" /storefront

FROM swift:6.3-bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
    libmicrohttpd12 libsqlite3-0 zlib1g && rm -rf /var/lib/apt/lists/*
COPY --from=build /storefront /usr/local/bin/storefront
USER nobody
ENTRYPOINT ["storefront"]
