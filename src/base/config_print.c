/* A configuration as text for people, and as bytes for a worker process. */
#include <errno.h>
#include <string.h>

#include "config_row.h"
#include "mem.h"

static const struct {
    const char *group; /* or NULL for a setting */
    size_t row;
} items[] = {
#define GROUP(title) { title, 0 },
#define SETTING(field, ...) { NULL, CONFIG_##field },
#include "config.def"
#undef SETTING
#undef GROUP
};

/* As config_dotenv.h reads it. */
static void add_value(struct str text, struct buf *out)
{
    bool plain = true;
    for (size_t i = 0; i < text.n && plain; i++)
        plain = (unsigned char)text.p[i] > ' ' && strchr("\"'#\\\177", text.p[i]) == NULL;
    if (plain) {
        buf_add(out, text);
        return;
    }
    buf_add_byte(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\n' || c == '\t') {
            buf_add(out, c == '\n' ? S("\\n") : S("\\t"));
            continue;
        }
        if (c == '"' || c == '\\')
            buf_add_byte(out, '\\');
        buf_add_byte(out, c);
    }
    buf_add_byte(out, '"');
}

static void add_source(const struct config *c, size_t i, struct buf *out)
{
    static const char *const names[] = { [SOURCE_DEFAULT] = "default",
                                         [SOURCE_FILE] = "",
                                         [SOURCE_ENVIRONMENT] = "environment",
                                         [SOURCE_OPTION] = "option" };
    if (c->source[i] == SOURCE_FILE)
        buf_addf(out, "%s line %d", c->env_file != NULL ? c->env_file : ".env", c->line[i]);
    else
        buf_add(out, str_of(names[c->source[i]]));
}

void config_print(const struct config *c, struct buf *out)
{
    for (size_t k = 0; k < ARRAY_LEN(items); k++) {
        size_t i = items[k].row;
        if (items[k].group != NULL) {
            buf_addf(out, "%s# %s\n", k > 0 ? "\n" : "", items[k].group);
            continue;
        }
        buf_addf(out, "%s=", config_row(i)->name);
        if (config_row(i)->type != CONFIG_TYPE_SECRET)
            add_value(str_of(c->text[i]), out);
        else if (c->text[i][0] != '\0')
            buf_add(out, S("***"));
        buf_add(out, S(" # "));
        add_source(c, i, out);
        buf_add_byte(out, '\n');
    }
}
