/*
 * default_config.h - a configuration without any setting, for harnesses that need one.
 */
#ifndef DEFAULT_CONFIG_H
#define DEFAULT_CONFIG_H

#include "config.h"
#include "must.h"

static inline void default_config(struct config *ret_config)
{
    static char *const no_environment[] = { NULL };
    struct buf error;
    buf_init(&error, 1024);
    must(config_load(ret_config, NULL, false, no_environment, NULL, 0, &error) == 0);
    buf_done(&error);
}

#endif
