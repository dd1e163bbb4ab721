/*
 * media.h - images and files (C1.3).
 *
 * Contract
 *   Ownership  results live in the arena or are slices of the input.
 */
#ifndef MEDIA_H
#define MEDIA_H

#include "codec.h"

/* A URL as clients write it, data URLs included, into m->source, type, payload.  400 when a data
 * URL is malformed.  The type of any other URL is what the end of its path says, or empty. */
int media_of_url(struct convert *c, struct chat_media *m, struct text url) MUST_CHECK;
/* file_data: a data URL or bare base64; type by name, else by the first bytes, else PDF. */
int media_of_file_data(struct convert *c, struct chat_media *m, struct text data) MUST_CHECK;
/* data:<type>;base64,<payload> */
struct text media_data_url(struct arena *a, const struct chat_media *m);
/* For Messages: the media type by the first bytes; 400 for an image of another kind. */
int media_check_image(struct convert *c, struct chat_media *m) MUST_CHECK;
/* By the media type alone. */
bool media_is_image(const struct chat_media *m);
bool media_is_pdf(const struct chat_media *m);
bool media_is_textual(const struct chat_media *m); /* text/.., JSON, CSV, Markdown, source code */
/* The decoded text of a textual file given as base64; 400 when it is not UTF-8. */
int media_plain(struct convert *c, const struct chat_media *m, struct text *ret) MUST_CHECK;
/* A document as one text: title line, context line, then the text. */
struct text media_document_text(struct convert *c, const struct chat_media *m);

#endif
