/*
 * rule_file.h - reads the files the rules come from, and the files rules name.
 *
 * Contract
 *   Input      regular files.  Rules are JSON, or YAML of the JSON schema: mappings with
 *              scalar keys, sequences, scalars; plain null, true, false and JSON
 *              numbers keep their type, everything else is text.  Anchors, aliases,
 *              tags and a second document are errors.
 *   Output     JSON text that json_parse() accepts.
 *   Ownership  texts live in the arena given.
 *   Limits     RULE_FILE_MAX bytes, RULE_YAML_DEPTH_MAX levels of YAML.
 *   Errors     a reason without the file's name is added to ret_error.
 */
#ifndef RULE_FILE_H
#define RULE_FILE_H

#include "arena.h"
#include "buf.h"
#include "must.h"
#include "str.h"

enum { RULE_FILE_MAX = 1 << 20, RULE_YAML_DEPTH_MAX = 64 };

int rule_file_read(struct arena *a, struct str path, struct str *ret_text, struct buf *ret_error)
    MUST_CHECK;
int rule_file_json(struct arena *a, struct str path, struct str text, struct str *ret_json,
                   struct buf *ret_error) MUST_CHECK;

#endif
