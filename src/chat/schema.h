/*
 * schema.h - JSON schemas for an upstream's taste (C1.6).
 *
 * Contract
 *   Input      one valid JSON value as text, or empty (absent).
 *   Output     compacted text in the arena; members keep their order, numbers their text.
 */
#ifndef SCHEMA_H
#define SCHEMA_H

#include <stdbool.h>

#include "arena.h"
#include "buf.h"
#include "str.h"

/* A Messages tool's input_schema.  *ret_wrapped: it became {"value": schema}. */
struct str schema_for_messages(struct arena *a, struct str schema, bool *ret_wrapped);
/* A function's parameters for Chat and Responses. */
struct str schema_for_openai(struct arena *a, struct str schema);
/* output_config.format.schema.  *ret_wrapped as above. */
struct str schema_for_output(struct arena *a, struct str schema, bool *ret_wrapped);
/* Is it in OpenAI's strict subset (A2.5)? */
bool schema_is_strict(struct arena *a, struct str schema);

#endif
