/*
 * h2_mem.h - memory for nghttp2, which takes and gives back some twenty pieces per request.
 * They come from kept.h, and are wiped when they come back: credentials are among the headers.
 */
#ifndef H2_MEM_H
#define H2_MEM_H

#include <nghttp2/nghttp2.h>

nghttp2_mem *h2_mem(void); /* the same for all sessions */

#endif
