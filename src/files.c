#include "files.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

struct file {
    struct list link;
    uv_fs_poll_t poll;
    struct files *files;
    char *path;
    bool wanted;
};

void files_init(struct files *f, uv_loop_t *loop, void (*on_change)(void *ctx), void *ctx)
{
    *f = (struct files){
        .loop = loop, .on_change = on_change, .ctx = ctx, .every_ms = FILES_EVERY_MS
    };
    list_init(&f->list);
}

static void changed(uv_fs_poll_t *handle, int status, const uv_stat_t *before, const uv_stat_t *now)
{
    struct file *file = handle->data;
    (void)before;
    (void)now;
    if (status == 0)
        file->files->on_change(file->files->ctx);
}

static void closed(uv_handle_t *handle)
{
    struct file *file = handle->data;
    free(file->path);
    free(file);
}

static struct file *find(struct files *f, const char *path)
{
    list_each (it, tmp, &f->list) {
        struct file *file = list_entry(it, struct file, link);
        if (strcmp(file->path, path) == 0)
            return file;
    }
    return NULL;
}

static struct file *add(struct files *f, const char *path)
{
    struct file *file = mem_new(struct file);
    file->files = f;
    file->path = mem_strndup(path, strlen(path));
    file->poll.data = file;
    uv_fs_poll_init(f->loop, &file->poll);
    uv_fs_poll_start(&file->poll, changed, path, f->every_ms);
    list_append(&f->list, &file->link);
    return file;
}

static void drop_unwanted(struct files *f)
{
    list_each (it, tmp, &f->list) {
        struct file *file = list_entry(it, struct file, link);
        if (!file->wanted) {
            list_remove(&file->link);
            uv_close((uv_handle_t *)&file->poll, closed);
        }
        file->wanted = false;
    }
}

void files_watch(struct files *f, const char *const *paths, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (paths[i] == NULL || paths[i][0] == '\0')
            continue;
        struct file *file = find(f, paths[i]);
        if (file == NULL)
            file = add(f, paths[i]);
        file->wanted = true;
    }
    drop_unwanted(f);
}

void files_stop(struct files *f)
{
    files_watch(f, NULL, 0);
}
