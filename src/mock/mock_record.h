/*
 * mock_record.h - the last requests the simulator has seen.
 *
 * Contract
 *   Limits     MOCK_RECORDS_MAX requests, MOCK_RECORD_BODY_BYTES of bodies together; the
 *              oldest go first.
 *   Ownership  a record copies the head; body is taken over (malloc'd).
 *   Output     a JSON array, newest last, of objects: number, connection (number and
 *              remote address), method, target, version ("1.1", "2"), authority,
 *              headers ([name, value] pairs in order; the framing ones are not among them),
 *              body_bytes, body_base64, body_text (UTF-8 only, else null), sha256, cancelled.
 */
#ifndef MOCK_RECORD_H
#define MOCK_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "http.h"
#include "list.h"
#include "str.h"

enum { MOCK_RECORDS_MAX = 1000, MOCK_RECORD_BODY_BYTES = 256 * 1024 * 1024 };

struct mock_records {
    struct list list; /* oldest first */
    size_t n, body_bytes;
};

void mock_records_init(struct mock_records *r);
void mock_records_clear(struct mock_records *r);

void mock_record_add(struct mock_records *r, uint64_t number, uint64_t connection,
                     struct str remote, const struct http_head *head, char *body, size_t body_bytes,
                     bool cancelled);
/* The client went away during the reply; nothing when the record is gone. */
void mock_record_cancelled(struct mock_records *r, uint64_t number);
/* last 0: all of them. */
void mock_records_write(const struct mock_records *r, uint64_t last, struct buf *out);

/* 64 hex digits. */
void mock_sha256(struct str bytes, struct buf *out);

#endif
