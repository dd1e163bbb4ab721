/*
 * mock_plan.h - what the simulator will answer to one request, before it is written in the
 * vendor's form.  Deterministic: the same request and number give the same plan.
 *
 * Contract
 *   Input      a parsed request that mock_vendor.check() let pass.
 *   Ownership  texts live in the arena or in the request's document: both must outlive the plan.
 */
#ifndef MOCK_PLAN_H
#define MOCK_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

#include "arena.h"
#include "mock_text.h"
#include "str.h"

enum { MOCK_TOKENS_MAX = 1000000, MOCK_HUGE_MIB_MAX = 256, MOCK_CALLS_MAX = 2 };

enum mock_stop { MOCK_STOP_END, MOCK_STOP_LENGTH, MOCK_STOP_TOOL, MOCK_STOP_REFUSAL };

/* What the vendor's reader finds in a request. */
struct mock_ask {
    struct str model;
    struct str user_text;   /* of the last user message */
    struct str tool_result; /* of the last message, when it is one; p == NULL: none */
    uint64_t max_tokens;    /* UINT64_MAX: none given */
    bool stream;
    bool include_usage; /* Chat */
    bool thinks;
    bool thinking_hidden; /* thinking happens, its text is not shown */
    struct str tool_name; /* first client tool; p == NULL: none offered */
    struct str tool_namespace;
    bool tool_custom;
    yyjson_val *tool_schema;
    yyjson_val *text_schema; /* structured output; NULL: none wanted */
    struct str echo; /* Responses: members that the reply repeats, each with a comma behind */
    bool encrypted;  /* Responses: reasoning.encrypted_content is included */
};

struct mock_plan {
    struct arena *arena;
    struct mock_ask ask;
    uint64_t number; /* of the request: makes the ids */
    uint64_t created_s;
    struct str id;                     /* 24 hex digits; the vendor's prefix is put in front */
    struct mock_pieces thinking, text; /* text: of a refusal too */
    struct mock_pieces calls[MOCK_CALLS_MAX]; /* arguments or free input */
    size_t call_count;
    bool redacted; /* Messages: the thinking cannot be read */
    enum mock_stop stop;
    uint64_t input_tokens, cached_tokens, output_tokens, thinking_tokens; /* input: all of it */
};

struct mock_wish {
    uint64_t number, created_s;
    size_t body_bytes; /* of the request */
    uint64_t n_deltas; /* 0: as many as the text has words */
    uint64_t huge_mib; /* one delta of so many MiB; 0: none */
};

void mock_plan_make(struct mock_plan *p, struct arena *a, const struct mock_ask *ask,
                    const struct mock_wish *wish);

/* The id of call i, without the vendor's prefix. */
struct str mock_call_id(const struct mock_plan *p, size_t i);

/* Opaque text that looks like a signature; the same for the same plan. */
struct str mock_seal(const struct mock_plan *p, struct str prefix);

#endif
