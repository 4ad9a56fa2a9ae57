FROM busybox:1 AS build
ARG VERSION
RUN echo "version $VERSION" > /version

FROM scratch AS small
COPY --from=build /version /version

# Not built: it is the last stage, but not the one that is asked for.
FROM busybox:1
RUN false
