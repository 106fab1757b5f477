# hidreamer with everything that it needs, built from source on your machine:
#   docker build -t hidreamer .
#   docker run --rm -it -v "$PWD/runs:/srv/hidreamer/runs" hidreamer agent --game pong --steps 100000
#   docker run --rm -it -v "$PWD/runs:/srv/hidreamer/runs" --entrypoint scripts/demo hidreamer
# The image links the Arcade Learning Environment (GPL-2.0): build it, but do not distribute it as MIT.
FROM debian:13-slim
WORKDIR /srv/hidreamer
COPY . .
RUN scripts/setup && scripts/build hidreamer
ENTRYPOINT ["build/release/hidreamer"]
CMD ["--help"]
