/*
 * protocol.h - the three wire protocols' names, and the two services.
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include "must.h"
#include "str.h"

enum protocol { PROTOCOL_MESSAGES, PROTOCOL_CHAT, PROTOCOL_RESPONSES, PROTOCOL_COUNT };
enum service { SERVICE_CLAUDE, SERVICE_CODEX, SERVICE_COUNT };

static inline const char *protocol_name(enum protocol p)
{
    static const char *const names[PROTOCOL_COUNT] = { "messages", "chat", "responses" };
    return names[p];
}
static inline const char *service_name(enum service s)
{
    static const char *const names[SERVICE_COUNT] = { "claude", "codex" };
    return names[s];
}

#endif
