#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "str.h"

enum kind { SERVICE, TEXT, PAIR, FLAG, PORT, NUMBER, REAL };

static const struct row {
    const char *commands, *name, *argument;
    enum kind kind;
    size_t offset;
    const char *help;
} rows[] = {
#define OPTION(commands, name, argument, kind, field, help) \
    { commands, name, argument, kind, offsetof(struct options, field), help },
#include "options.def"
#undef OPTION
};

static const struct {
    const char *name, *help;
} commands[] = {
    { "serve", "run the services (default)" },
    { "demo", "serve with the simulator and show one request through each service" },
    { "mock", "run the upstream simulator alone" },
    { "check", "validate the configuration and print it with its sources, secrets masked" },
    { "convert", "convert one request, reply, stream or error from stdin to stdout" },
    { "version", "print the version" },
};

static bool takes(const struct row *row, const char *command)
{
    struct str rest = str_of(row->commands), part;
    while (str_next(&rest, ' ', &part))
        if (str_eq(part, str_of(command)))
            return true;
    return false;
}

static void print_options(const char *command)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (takes(&rows[i], command))
            printf("  %s %s%*s%s\n", rows[i].name, rows[i].argument != NULL ? rows[i].argument : "",
                   (int)(28 - strlen(rows[i].name) -
                         (rows[i].argument != NULL ? strlen(rows[i].argument) : 0)),
                   "", rows[i].help);
}

static void print_mock_help(void)
{
    static const char *const faults[][3] = {
#define FAULT(name, number, kind, help) { name, number, help },
#include "mock_faults.def"
#undef FAULT
    };
    printf(
        "\nHeaders of a request that steer its reply:\n"
        "  x-mock-tps: N                tokens per second\n"
        "  x-mock-tokens: N             number of text deltas\n"
        "  x-mock-retry-after: SECONDS  retry-after\n"
        "  x-mock-fault: FAULT          what goes wrong; the model mock-FAULT does the same\n"
        "\nA user text with mock:tool gets a call of the first tool offered, with mock:tool=NAME\n"
        "of that one.  Any key but sk-invalid is right.  GET /requests shows what was received.\n"
        "\nFaults:\n");
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        printf("  %s%-*s %s\n", faults[i][0], (int)(28 - strlen(faults[i][0])), faults[i][1],
               faults[i][2]);
}

static void print_commands(void)
{
    printf("\nCommands:\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].help);
    printf("\nSettings come from options, the environment and .env, in this order; .env.example\n"
           "explains each.  `cc-proxy COMMAND --help` shows a command's options.\n"
           "Signals: SIGHUP reloads, SIGTERM finishes open streams and ends, SIGINT ends.\n"
           "Exit codes: 0 fine, 1 failed, 2 wrong configuration or command line.\n");
}

static void print_help(const char *command)
{
    printf("cc-proxy %s: a proxy between AI clients and LLM APIs\n\n", CCP_VERSION);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, command) != 0)
            continue;
        printf("Usage: cc-proxy %s [options]\n\n%s\n\nOptions:\n", command, commands[i].help);
        print_options(command);
        printf("  --help%*sprint this\n", 23, "");
    }
    if (strcmp(command, "serve") == 0)
        print_commands();
    else if (strcmp(command, "mock") == 0)
        print_mock_help();
}

static int wrong(const char *what, const char *option)
{
    fprintf(stderr, "cc-proxy: %s: %s\n", option, what);
    return -EINVAL;
}

static int add_setting(struct options *o, const char *name, const char *value)
{
    if (o->settings_n == OPTIONS_SETTINGS_MAX)
        return wrong("too many settings", name);
    o->settings[o->settings_n++] = (struct config_option){ name, value };
    return 0;
}

/* NAME=VALUE; the '=' becomes the end of the name. */
static int add_pair(struct options *o, char *pair)
{
    char *equals = strchr(pair, '=');
    if (equals == NULL || equals == pair)
        return wrong("must be NAME=VALUE", pair);
    *equals = '\0';
    return add_setting(o, pair, equals + 1);
}

static int set_number(const char *name, const char *value, uint64_t most, uint64_t *ret_n)
{
    uint64_t n;
    if (str_to_u64(str_of(value), &n) < 0 || n > most)
        return wrong("not a number in range", name);
    *ret_n = n;
    return 0;
}

static int apply(struct options *o, const struct row *row, char *value)
{
    void *field = (char *)o + row->offset;
    switch (row->kind) {
    case SERVICE:
        return add_setting(o, "SERVICES", value);
    case PAIR:
        return add_pair(o, value);
    case TEXT:
        *(const char **)field = value;
        return 0;
    case FLAG:
        *(bool *)field = true;
        return 0;
    case PORT:
        return set_number(row->name, value, 65535, field);
    case NUMBER:
        return set_number(row->name, value, INT32_MAX, field);
    case REAL:
        return str_to_double(str_of(value), field) < 0 ? wrong("not a number", row->name) : 0;
    }
    return -EINVAL;
}

static const struct row *find(const char *command, const char *name, size_t name_len)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (takes(&rows[i], command) && strlen(rows[i].name) == name_len &&
            strncmp(rows[i].name, name, name_len) == 0)
            return &rows[i];
    return NULL;
}

static int one(const char *command, int argc, char **argv, int *i, struct options *o)
{
    char *arg = argv[*i], *equals = strchr(arg, '=');
    size_t len = equals != NULL ? (size_t)(equals - arg) : strlen(arg);
    const struct row *row = find(command, arg, len);
    if (row == NULL)
        return wrong("no such option here; see --help", arg);
    if (row->argument == NULL)
        return equals == NULL ? apply(o, row, NULL) : wrong("takes no value", row->name);
    if (equals != NULL)
        return apply(o, row, equals + 1);
    if (*i + 1 == argc)
        return wrong("needs a value", row->name);
    return apply(o, row, argv[++*i]);
}

int options_parse(const char *command, int argc, char **argv, struct options *ret)
{
    struct options o = { .ready_fd = OPTIONS_UNSET,
                         .port = 9100,
                         .now = OPTIONS_UNSET,
                         .status = OPTIONS_UNSET,
                         .chunk = OPTIONS_UNSET };
    int e = 0;
    for (int i = 0; i < argc && e == 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(command);
            return 1;
        }
        if (argv[i][0] == '-')
            e = one(command, argc, argv, &i, &o);
        else if (strcmp(command, "worker") == 0 && o.rest_n < OPTIONS_REST_MAX)
            o.rest[o.rest_n++] = argv[i];
        else
            e = wrong("unexpected argument", argv[i]);
    }
    if (e == 0)
        *ret = o;
    return e;
}
