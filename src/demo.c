#include "demo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "must.h"

struct sample {
    const char *title, *path, *headers, *body;
};

static const struct sample samples[] = {
    { "claude service: a chat application asks with thinking switched on", "/v1/messages",
      "x-api-key: sk-demo\r\nUser-Agent: CherryStudio/1.0.0\r\n",
      "{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":4096,\"thinking\":{\"enabled\":true},"
      "\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hello!\"}]}" },
    { "codex service: a string as input", "/v1/responses",
      "Authorization: Bearer sk-demo\r\nUser-Agent: CherryStudio/1.0.0\r\n",
      "{\"model\":\"gpt-5\",\"input\":\"Hello!\",\"stream\":true}" },
};

static int connect_to(int port)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* A port that is free now. */
static int free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
              getsockname(fd, (struct sockaddr *)&at, &len) == 0;
    if (fd >= 0)
        close(fd);
    return ok ? ntohs(at.sin_port) : 0;
}

static bool wait_for(int port)
{
    for (int i = 0; i < 200; i++) {
        int fd = connect_to(port);
        if (fd >= 0) {
            close(fd);
            return true;
        }
        nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000 * 1000 }, NULL);
    }
    return false;
}

static int show(const struct sample *s, int port)
{
    char head[1024], bytes[4096];
    int fd = connect_to(port);
    if (fd < 0)
        return -errno;
    int n = snprintf(head, sizeof(head),
                     "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                     "%sContent-Length: %zu\r\nConnection: close\r\n\r\n",
                     s->path, port, s->headers, strlen(s->body));
    printf("\n=== %s\n\n%s%s\n\n--- reply\n\n", s->title, head, s->body);
    fflush(stdout);
    if (write(fd, head, (size_t)n) != n ||
        write(fd, s->body, strlen(s->body)) != (ssize_t)strlen(s->body)) {
        close(fd);
        return -EIO;
    }
    ssize_t got, all = 0;
    while ((got = read(fd, bytes, sizeof(bytes))) > 0) {
        fwrite(bytes, 1, (size_t)got, stdout);
        fflush(stdout);
        all += got;
    }
    close(fd);
    return all > 0 ? 0 : -EPIPE;
}

int demo_run(const char *binary)
{
    int ports[] = { free_port(), free_port() };
    char settings[2][64];
    pid_t child;
    snprintf(settings[0], sizeof(settings[0]), "CLAUDE_SERVICE_PORT=%d", ports[0]);
    snprintf(settings[1], sizeof(settings[1]), "CODEX_SERVICE_PORT=%d", ports[1]);
    char *args[] = { (char *)(uintptr_t)binary,
                     "serve",
                     "--simulator",
                     "--env-file",
                     "/dev/null",
                     "--set",
                     settings[0],
                     "--set",
                     settings[1],
                     "--set",
                     "CLAUDE_SERVICE_HOST=127.0.0.1",
                     "--set",
                     "CODEX_SERVICE_HOST=127.0.0.1",
                     "--set",
                     "WORKERS=1",
                     "--set",
                     "LOG_LEVEL=ERROR",
                     "--quiet",
                     NULL };
    char *environment[] = { NULL };
    if (posix_spawn(&child, binary, NULL, NULL, args, environment) != 0) {
        fprintf(stderr, "cc-proxy demo: cannot start %s\n", binary);
        return 1;
    }
    signal(SIGPIPE, SIG_IGN); /* `demo | head`: still stop what was started */
    int e = wait_for(ports[0]) && wait_for(ports[1]) ? 0 : -1;
    for (size_t i = 0; i < ARRAY_LEN(samples) && e == 0; i++)
        e = show(&samples[i], ports[i]);
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
    if (e < 0)
        fprintf(stderr, "cc-proxy demo: failed\n");
    return e < 0 ? 1 : 0;
}
