/*
 * replay.c - runs a fuzz harness over the files of a folder, without libFuzzer, so that every
 * build can test with the seeds and with the inputs that once failed.
 */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static int replay(const char *path)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return -1;
    for (size_t got = 1; got > 0; n += got) {
        uint8_t *more = realloc(bytes, n + 65536);
        if (more == NULL)
            abort();
        bytes = more;
        got = fread(bytes + n, 1, 65536, f);
    }
    int failed = ferror(f);
    fclose(f);
    /* an exact copy, so that a sanitizer sees a read past the end */
    uint8_t *exact = realloc(bytes, n > 0 ? n : 1);
    if (exact == NULL)
        abort();
    if (!failed)
        LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    return failed ? -1 : 0;
}

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    int seeds = 0;
    if (dir == NULL) {
        fprintf(stderr, "usage: %s FOLDER (one that exists)\n", argv[0]);
        return 2;
    }
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char path[PATH_MAX];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name);
        if (replay(path) < 0) {
            perror(path);
            return 1;
        }
        seeds++;
    }
    closedir(dir);
    printf("%d seeds\n", seeds);
    return seeds > 0 ? 0 : 1;
}
