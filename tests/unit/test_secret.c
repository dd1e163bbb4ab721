/* Locked memory for secrets, and memory that is wiped when freed. */
#include "unit.h"

#include "secret.c"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "buf.h"

static bool is_zero(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0)
            return false;
    return true;
}

/* The VmFlags line of the mapping that starts at p. */
static void read_flags(const void *p, char *to, size_t size)
{
    char line[512], start[32];
    bool here = false;
    FILE *f = fopen("/proc/self/smaps", "re");
    assert_non_null(f);
    snprintf(start, sizeof(start), "%lx-", (unsigned long)(uintptr_t)p);
    to[0] = '\0';
    while (fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, start, strlen(start)) == 0)
            here = true;
        if (here && strncmp(line, "VmFlags:", 8) == 0) {
            snprintf(to, size, "%s", line);
            break;
        }
    }
    fclose(f);
}

/* Goal: not swapped, not in a core file, not in a child. */
static void pages_are_locked_and_left_out(void **state)
{
    (void)state;
    char flags[512];
    char *p = secret_strndup("canary", 6);
    read_flags(region - class_bytes(0), flags, sizeof(flags)); /* the first block of all */
    assert_non_null(strstr(flags, " dd"));                     /* do not dump */
    assert_non_null(strstr(flags, " wf"));                     /* wipe on fork */
#ifndef CCP_SANITIZED /* sanitizers make mlock() do nothing */
    if (secret_locked())
        assert_non_null(strstr(flags, " lo"));
#endif
    pid_t child = fork();
    if (child == 0)
        _exit(is_zero(p, 6) ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    secret_free(p);
}

static void blocks_are_wiped_when_freed(void **state)
{
    (void)state;
    char *stays = secret_strndup("x", 1), *p = secret_strndup("canary", 6);
    secret_free(p);
    assert_true(is_zero(p, 6)); /* its region is still there */
    secret_free(stays);
    secret_free(NULL);
}

/* Goal: what is freed is used again, so that requests do not make the pages grow. */
static void blocks_are_used_again(void **state)
{
    (void)state;
    char *many[200], *place = NULL;
    size_t left = 0;
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < ARRAY_LEN(many); i++) {
            many[i] = secret_alloc(i * 37);
            assert_true((uintptr_t)many[i] % _Alignof(max_align_t) == 0);
            assert_true(is_zero(many[i], i * 37));
            memset(many[i], 'x', i * 37);
        }
        if (round == 0) {
            place = region;
            left = region_left_bytes;
        }
        assert_ptr_equal(region, place);
        assert_int_equal(region_left_bytes, left);
        for (size_t i = 0; i < ARRAY_LEN(many); i++)
            secret_free(many[i * 7 % ARRAY_LEN(many)]);
    }
}

/* Goal: free() itself writes into the first bytes only; the rest must be zero already. */
static void a_secret_arena_is_wiped(void **state)
{
    (void)state;
    struct arena a;
    arena_init_secret(&a, 1 << 20);
    char *stays = secret_strndup("x", 1);
    const char *p = arena_str(&a, S("a canary in an arena")).p;
    arena_done(&a);
    assert_true(is_zero(p, 20));
    secret_free(stays);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_locked_and_left_out),
        cmocka_unit_test(blocks_are_wiped_when_freed),
        cmocka_unit_test(blocks_are_used_again),
        cmocka_unit_test(a_secret_arena_is_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
