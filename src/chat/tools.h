/*
 * tools.h - tools and their names (C1.5, C1.10 of protocols.md).
 *
 * Contract
 *   Names      A takes 128, C and R 64 characters of [A-Za-z0-9_-]; others are shortened by a
 *              function of the name alone, so the same name is the same in every request.
 *   Table      c->tools maps the upstream's names back; it holds declared tools, the choice and
 *              calls in the history.
 */
#ifndef TOOLS_H
#define TOOLS_H

#include "codec.h"

/* For decoders: a declared tool that has no neutral form is left out (0.4). */
int tools_leave_out(struct convert *c, struct str path) MUST_CHECK;

/* After decoding: flattens namespaces, leaves out what the upstream's protocol and profile cannot
 * take (warnings; 400 when the choice forces it), applies allowed_tools where the upstream has
 * none, drops second tools of one name, gives tools, calls in the history and the choice their
 * upstream names, fills c->tools.  With no tool left the choice is absent.  Afterwards
 * choice.allowed holds upstream names, and choice.tool_kind what the upstream gets. */
int tools_prepare(struct convert *c) MUST_CHECK;

/* The declared tool behind an upstream's name, or NULL. */
const struct convert_tool *tools_find(const struct convert *c, struct str upstream_name);
/* After tools_prepare(), the tools of choice.allowed in its order; ends with NULL; in c->temp. */
const struct chat_tool *const *tools_allowed(const struct convert *c);
/* name, at most limit characters of the set (C1.5 `short`). */
struct str tools_short(struct arena *a, struct str name, size_t limit, int hash_digits);
/* The schema as the upstream gets it, compacted: the fixed one of a built-in kind, W for a custom
 * tool that is sent as a function, else the client's by schema.h.  Empty: takes none. */
struct str tools_schema(struct convert *c, const struct chat_tool *t);
/* Its description: with the grammar behind it when a custom tool is sent as a function. */
struct text tools_description(struct convert *c, const struct chat_tool *t);
/* The kind that this upstream gets: CUSTOM or FUNCTION; the built-in ones stay for Responses. */
enum chat_tool_kind tools_upstream_kind(const struct convert *c, enum chat_tool_kind kind);

#endif
