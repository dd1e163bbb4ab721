/*
 * Preloaded into cc-proxy by test_35_names.py: a getaddrinfo() that a file directs, which is mapped
 * before the sandbox forbids to open it.  Lines of CONTROL: "NAME ADDRESS", "NAME fail",
 * "NAME stall"; names that it does not have fail.  Behind CONTROL_BYTES it counts the calls.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CONTROL_BYTES = 4096 };

static char *control;
static int *calls;

__attribute__((constructor)) static void map(void)
{
    int fd = open(CONTROL, O_RDWR | O_CLOEXEC);
    control = mmap(NULL, 2 * CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED)
        abort();
    calls = (int *)(void *)(control + CONTROL_BYTES);
    close(fd);
}

/* What CONTROL says of the name now. */
static void find(const char *name, char ret_word[64])
{
    char text[CONTROL_BYTES + 1], *save = NULL;
    memcpy(text, control, CONTROL_BYTES);
    text[CONTROL_BYTES] = '\0';
    snprintf(ret_word, 64, "fail");
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        char host[256], word[64];
        if (sscanf(line, "%255s %63s", host, word) == 2 && strcmp(host, name) == 0)
            snprintf(ret_word, 64, "%s", word);
    }
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    char word[64];
    (void)service;
    (void)hints;
    __atomic_fetch_add(calls, 1, __ATOMIC_SEQ_CST);
    find(name, word);
    while (strcmp(word, "stall") == 0) {
        usleep(10000);
        find(name, word);
    }
    struct {
        struct addrinfo ai;
        struct sockaddr_in in;
    } *found = calloc(1, sizeof(*found));
    found->in.sin_family = AF_INET;
    if (inet_pton(AF_INET, word, &found->in.sin_addr) != 1) {
        free(found);
        return EAI_NONAME;
    }
    found->ai = (struct addrinfo){ .ai_family = AF_INET,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_addrlen = sizeof(found->in),
                                   .ai_addr = (struct sockaddr *)&found->in };
    *ret = &found->ai;
    return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
    free(found);
}
