/*
 * Goal: h1 accepts and refuses what reliability.md sections 1 and 2 say, however
 * the bytes are cut, and stops where it promises to.
 */
#include "unit.h"

#include <stdio.h>

#include "err.h"
#include "h1_log.h"

struct row {
    const char *name;
    int err; /* 0: accepted */
    struct str bytes;
    const char *out; /* what an accepted one gives; NULL: not compared */
};

#define H "GET / HTTP/1.1\r\nHost: h\r\n"
#define P "POST / HTTP/1.1\r\nHost: h\r\n"
#define BAD E_BAD_REQUEST

static const struct row requests[] = {
    { "plain GET", 0, S_INIT(H "\r\n"), "[GET / h 0 1.1 cl=-1 body=0 keep=1]end;" },
    { "HTTP/1.0", 0, S_INIT("GET /a?b HTTP/1.0\r\n\r\n"),
      "[GET /a?b  0 1.0 cl=-1 body=0 keep=0]end;" },
    { "HTTP/1.0 keep-alive", 0, S_INIT("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
      "[GET /  0 1.0 cl=-1 body=0 keep=1]end;" },
    { "content-length", 0, S_INIT(P "Content-Length: 5 \r\nX-A:\t b c \t\r\n\r\nhello"),
      "[POST / h 0 1.1 cl=5 body=1 x-a=b c keep=1]<hello>end;" },
    { "content-length 0", 0, S_INIT(P "Content-Length: 0\r\n\r\n"),
      "[POST / h 0 1.1 cl=0 body=0 keep=1]end;" },
    { "chunked", 0,
      S_INIT(P
             "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n6;a=b;c=\"d\"\r\n world\r\n0\r\nX-T: "
             "1\r\n\r\n"),
      "[POST / h 0 1.1 cl=-1 body=1 keep=1]<hello world>end;" },
    { "trailers with Host and CL are dropped", 0,
      S_INIT(P "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nHost: evil\r\nX: y\r\n\r\n"),
      "[POST / h 0 1.1 cl=-1 body=1 keep=1]<x>end;" },
    { "pipelined", 0, S_INIT(P "Content-Length: 1\r\n\r\nx" H "Connection: close\r\n\r\n"),
      "[POST / h 0 1.1 cl=1 body=1 keep=1]<x>end;[GET / h 0 1.1 cl=-1 body=0 keep=0]end;" },
    { "pipelined after close", 0, S_INIT(H "Connection: close\r\n\r\n" H "\r\n"),
      "[GET / h 0 1.1 cl=-1 body=0 keep=0]end;[GET / h 0 1.1 cl=-1 body=0 keep=1]end;" },
    { "empty values", 0, S_INIT(H "X:\r\nY: \r\n\r\n"),
      "[GET / h 0 1.1 cl=-1 body=0 x= y= keep=1]end;" },
    { "obs-text in a value", 0, S_INIT(H "X: \xc3\xa4\r\n\r\n"), NULL },
    { "hop-by-hop and named fields are dropped", 0,
      S_INIT(H
             "Connection: X-B, close\r\nX-B: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\nX-C: 2\r\n\r\n"),
      "[GET / h 0 1.1 cl=-1 body=0 x-c=2 keep=0]end;" },
    { "underscore", 0, S_INIT(H "X_Api_Key: 1\r\nsession_id: 2\r\n\r\n"),
      "[GET / h 0 1.1 cl=-1 body=0 x_api_key=1 session_id=2 keep=1]end;" },
    { "Upgrade: h2c", 0,
      S_INIT(P "Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\nx"),
      "[POST / h 0 1.1 cl=1 body=1 upgrade keep=1]<x>end;" },
    { "Upgrade: foo", 0, S_INIT(H "Upgrade: foo\r\nConnection: Upgrade\r\n\r\n" H "\r\n"),
      "[GET / h 0 1.1 cl=-1 body=0 upgrade keep=1]end;[GET / h 0 1.1 cl=-1 body=0 keep=1]end;" },
    { "Upgrade: websocket", 0, S_INIT(H "Upgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n"),
      "[GET / h 0 1.1 cl=-1 body=0 upgrade websocket keep=1]end;" },
    { "Expect: 100-continue", 0, S_INIT(P "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx"),
      "[POST / h 0 1.1 cl=1 body=1 expect keep=1]<x>end;" },
    { "one empty line before", 0, S_INIT("\r\n" H "\r\n"), NULL },
    { "absolute form, same Host", 0, S_INIT("GET http://H/a HTTP/1.1\r\nHost: h\r\n\r\n"),
      "[GET /a h 0 1.1 cl=-1 body=0 keep=1]end;" },
    { "absolute form, query only", 0, S_INIT("GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n"),
      "[GET /?q h 0 1.1 cl=-1 body=0 keep=1]end;" },
    { "CONNECT is the router's to refuse", 0, S_INIT("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n"),
      "[CONNECT h:1 h:1 0 1.1 cl=-1 body=0 keep=1]end;" },
    { "TRACE is the router's to refuse", 0, S_INIT("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "OPTIONS *", 0, S_INIT("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "dot segments are the router's", 0, S_INIT("GET /../../etc HTTP/1.1\r\nHost: h\r\n\r\n"),
      NULL },

    { "bare LF line ends", BAD, S_INIT("GET / HTTP/1.1\nHost: h\n\n"), NULL },
    { "bare LF after a field", BAD, S_INIT(H "X: y\nZ: z\r\n\r\n"), NULL },
    { "bare LF ends the head", BAD, S_INIT(H "\n"), NULL },
    { "bare CR in a value", BAD, S_INIT(H "X: a\rb\r\n\r\n"), NULL },
    { "bare CR ends a field", BAD, S_INIT(H "X: a\rY: b\r\n\r\n"), NULL },
    { "NUL in a value", BAD, S_INIT(H "X: a\0b\r\n\r\n"), NULL },
    { "DEL in a value", BAD, S_INIT(H "X: a\x7f\r\n\r\n"), NULL },
    { "obs-fold", BAD, S_INIT(H "X: a\r\n b\r\n\r\n"), NULL },
    { "obs-fold with tab", BAD, S_INIT(H "X: a\r\n\tb\r\n\r\n"), NULL },
    { "blank before the first field", BAD, S_INIT("GET / HTTP/1.1\r\n Host: h\r\n\r\n"), NULL },
    { "space before colon", BAD, S_INIT(H "X : a\r\n\r\n"), NULL },
    { "space before colon of CL", BAD, S_INIT(P "Content-Length : 1\r\n\r\nx"), NULL },
    { "empty name", BAD, S_INIT(H ": a\r\n\r\n"), NULL },
    { "no colon", BAD, S_INIT(H "abc\r\n\r\n"), NULL },
    { "x@y", BAD, S_INIT(H "x@y: a\r\n\r\n"), NULL },
    { "CL and TE", BAD,
      S_INIT(P "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), NULL },
    { "TE and CL", BAD,
      S_INIT(P "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), NULL },
    { "TE: xchunked", BAD, S_INIT(P "Transfer-Encoding: xchunked\r\n\r\n"), NULL },
    { "TE: gzip, chunked", BAD, S_INIT(P "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
      NULL },
    { "TE: chunked, identity", BAD, S_INIT(P "Transfer-Encoding: chunked, identity\r\n\r\n"),
      NULL },
    { "TE: chunked, chunked", BAD, S_INIT(P "Transfer-Encoding: chunked, chunked\r\n\r\n"), NULL },
    { "TE: chunked,", BAD, S_INIT(P "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"), NULL },
    { "TE: \"chunked\"", BAD, S_INIT(P "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"), NULL },
    { "TE: identity and CL", BAD,
      S_INIT(P "Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx"), NULL },
    { "empty TE", BAD, S_INIT(P "Transfer-Encoding:\r\n\r\n"), NULL },
    { "two TE", BAD,
      S_INIT(P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), NULL },
    { "TE: VT chunked", BAD, S_INIT(P "Transfer-Encoding: \vchunked\r\nContent-Length: 5\r\n\r\n"),
      NULL },
    { "TE: chunked VT", BAD, S_INIT(P "Transfer-Encoding: chunked\v\r\n\r\n0\r\n\r\n"), NULL },
    { "TE on HTTP/1.0", BAD,
      S_INIT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), NULL },
    { "two equal CL", BAD, S_INIT(P "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"), NULL },
    { "two different CL", BAD, S_INIT(P "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx"), NULL },
    { "CL: +5", BAD, S_INIT(P "Content-Length: +5\r\n\r\nhello"), NULL },
    { "CL: 5,5", BAD, S_INIT(P "Content-Length: 5,5\r\n\r\nhello"), NULL },
    { "CL: 5 5", BAD, S_INIT(P "Content-Length: 5 5\r\n\r\nhello"), NULL },
    { "CL: 0x5", BAD, S_INIT(P "Content-Length: 0x5\r\n\r\nhello"), NULL },
    { "CL: -1", BAD, S_INIT(P "Content-Length: -1\r\n\r\n"), NULL },
    { "CL: 2^64+5", BAD, S_INIT(P "Content-Length: 18446744073709551621\r\n\r\nhello"), NULL },
    { "CL: 2^63", BAD, S_INIT(P "Content-Length: 9223372036854775808\r\n\r\nhello"), NULL },
    { "CL: 5_0", BAD, S_INIT(P "Content-Length: 5_0\r\n\r\nhello"), NULL },
    { "empty CL", BAD, S_INIT(P "Content-Length:\r\n\r\n"), NULL },
    { "chunk size overflow", BAD,
      S_INIT(P "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\n"), NULL },
    { "chunk size 0x5", BAD, S_INIT(P "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n"), NULL },
    { "chunk size, blank before", BAD,
      S_INIT(P "Transfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n"), NULL },
    { "chunk size, blank behind", BAD,
      S_INIT(P "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n"), NULL },
    { "chunk line ends in LF", BAD, S_INIT(P "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n"),
      NULL },
    { "LF in a chunk extension", BAD,
      S_INIT(P "Transfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n"), NULL },
    { "chunk without CRLF", BAD, S_INIT(P "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX0\r\n\r\n"),
      NULL },
    { "last chunk ends in LF", BAD, S_INIT(P "Transfer-Encoding: chunked\r\n\r\n0\r\n\n"), NULL },
    { "no Host", BAD, S_INIT("GET / HTTP/1.1\r\n\r\n"), NULL },
    { "two Host", BAD, S_INIT(H "Host: h\r\n\r\n"), NULL },
    { "Host with space", BAD, S_INIT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), NULL },
    { "Host a@b", BAD, S_INIT("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"), NULL },
    { "Host a/b", BAD, S_INIT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), NULL },
    { "absolute form, other Host", BAD, S_INIT("GET http://x/ HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "absolute form, userinfo", BAD, S_INIT("GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "other scheme", BAD, S_INIT("GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "authority form", BAD, S_INIT("GET h:1 HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "GET *", BAD, S_INIT("GET * HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "lower-case method", E_METHOD, S_INIT("get / HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "unknown method", E_METHOD, S_INIT("BREW / HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "RTSP", E_NOT_HTTP, S_INIT("DESCRIBE / RTSP/1.0\r\n\r\n"), NULL },
    { "endless method", E_METHOD,
      S_INIT("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n\r\n"), NULL },
    { "method with a bad byte", BAD, S_INIT("GE(T / HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "TLS hello", BAD, S_INIT("\x16\x03\x01\x02\x00\x01"), NULL },
    { "HTTP/1.2", E_HTTP_VERSION, S_INIT("GET / HTTP/1.2\r\nHost: h\r\n\r\n"), NULL },
    { "HTTP/2.0", E_HTTP_VERSION, S_INIT("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), NULL },
    { "HTTP/0.9", E_HTTP_VERSION, S_INIT("GET /\r\n"), NULL },
    { "HTTP/2 preface", E_HTTP_VERSION, S_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), NULL },
    { "spoilt HTTP/2 preface", E_NOT_HTTP, S_INIT("INVALID CONNECTION PREFACE\r\n\r\n"), NULL },
    { "HTTP/11.1", BAD, S_INIT("GET / HTTP/11.1\r\nHost: h\r\n\r\n"), NULL },
    { "http/1.1", BAD, S_INIT("GET / http/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "space in target", BAD, S_INIT("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "two spaces", BAD, S_INIT("GET  / HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "two spaces before the version", BAD, S_INIT("GET /  HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "space after the version", BAD, S_INIT("GET / HTTP/1.1 \r\nHost: h\r\n\r\n"), NULL },
    { "NUL in target", BAD, S_INIT("GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "/%00", BAD, S_INIT("GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "high byte in target", BAD, S_INIT("GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "fragment", BAD, S_INIT("GET /#a HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "tab in request line", BAD, S_INIT("GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "tab before the version", BAD, S_INIT("GET /\tHTTP/1.1\r\nHost: h\r\n\r\n"), NULL },
    { "two empty lines before", BAD, S_INIT("\r\n\r\n" H "\r\n"), NULL },
    { "LF before", BAD, S_INIT("\n" H "\r\n"), NULL },
    { "Connection: X-Api-Key", BAD,
      S_INIT(H "X-Api-Key: k\r\nConnection: close, X-Api-Key\r\n\r\n"), NULL },
    { "Connection: authorization", BAD, S_INIT(H "Connection: authorization\r\n\r\n"), NULL },
    { "Expect: garbage", E_EXPECTATION, S_INIT(P "Expect: tea\r\nContent-Length: 1\r\n\r\nx"),
      NULL },
    { "two Authorization", BAD, S_INIT(H "Authorization: a\r\nAuthorization: a\r\n\r\n"), NULL },
    { "bad second request", BAD, S_INIT(H "\r\nGE(T"), NULL },
};

#define R "HTTP/1.1 200 OK\r\n"
#define PROTO E_UPSTREAM_PROTOCOL
#define I "HTTP/1.1 100 Continue\r\n\r\n"

/* Closed behind the last byte. */
static const struct row replies[] = {
    { "content-length", 0, S_INIT(R "Content-Length: 2\r\nX: y\r\n\r\nok"),
      "[   200 1.1 cl=2 body=1 x=y keep=1]<ok>end;" },
    { "no reason", 0, S_INIT("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
      "[   200 1.1 cl=0 body=0 keep=1]end;" },
    { "chunked with trailers", 0,
      S_INIT(R "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n"),
      "[   200 1.1 cl=-1 body=1 keep=1]<ok>end;" },
    { "until close", 0, S_INIT(R "\r\nok"), "[   200 1.1 cl=-1 body=1 keep=0]<ok>end;" },
    { "until close, empty", 0, S_INIT(R "\r\n"), "[   200 1.1 cl=-1 body=1 keep=0]end;" },
    { "extra bytes", 0, S_INIT(R "Content-Length: 2\r\n\r\nokEXTRA"),
      "[   200 1.1 cl=2 body=1 keep=1]<ok>end;5 left" },
    { "extra bytes after close", 0,
      S_INIT(R "Connection: close\r\nContent-Length: 2\r\n\r\nokEXTRA"),
      "[   200 1.1 cl=2 body=1 keep=0]<ok>end;5 left" },
    { "204 with body", 0, S_INIT("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok"),
      "[   204 1.1 cl=2 body=0 keep=0]end;2 left" },
    { "304", 0, S_INIT("HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n"),
      "[   304 1.1 cl=2 body=0 keep=1]end;" },
    { "100 then 200", 0, S_INIT(I R "Content-Length: 0\r\n\r\n"),
      "[   200 1.1 cl=0 body=0 keep=1]end;" },
    { "103 then 200", 0,
      S_INIT("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" R "Content-Length: 0\r\n\r\n"),
      "[   200 1.1 cl=0 body=0 keep=1]end;" },
    { "8 times 100", 0, S_INIT(I I I I I I I I R "Content-Length: 0\r\n\r\n"), NULL },
    { "9 times 100", PROTO, S_INIT(I I I I I I I I I R "Content-Length: 0\r\n\r\n"), NULL },
    { "upgrade fields in a 200", 0,
      S_INIT(R "Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nok"),
      "[   200 1.1 cl=2 body=1 keep=1]<ok>end;" },
    { "HTTP/1.0", 0, S_INIT("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
      "[   200 1.0 cl=2 body=1 keep=0]<ok>end;" },

    { "100 then closed", E_UPSTREAM_CLOSED, S_INIT(I), NULL },
    { "101", PROTO,
      S_INIT("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
      NULL },
    { "CL and TE", PROTO, S_INIT(R "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"),
      NULL },
    { "TE: gzip", PROTO, S_INIT(R "Transfer-Encoding: gzip\r\n\r\n"), NULL },
    { "chunked in HTTP/1.0", PROTO,
      S_INIT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), NULL },
    { "two different CL", PROTO, S_INIT(R "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
      NULL },
    { "bare CR", PROTO, S_INIT(R "X: a\rb\r\n\r\n"), NULL },
    { "bare LF", PROTO, S_INIT(R "X: a\nY: b\r\n\r\n"), NULL },
    { "bare LF in status line", PROTO, S_INIT("HTTP/1.1 200 OK\nX: a\r\n\r\n"), NULL },
    { "NUL", PROTO, S_INIT(R "X: a\0b\r\n\r\n"), NULL },
    { "obs-fold", PROTO, S_INIT(R "X: a\r\n b\r\n\r\n"), NULL },
    { "20x", PROTO, S_INIT("HTTP/1.1 20x OK\r\n\r\n"), NULL },
    { "2000", PROTO, S_INIT("HTTP/1.1 2000 OK\r\n\r\n"), NULL },
    { "000", PROTO, S_INIT("HTTP/1.1 000 OK\r\n\r\n"), NULL },
    { "999", PROTO, S_INIT("HTTP/1.1 999 OK\r\n\r\n"), NULL },
    { "not HTTP", PROTO, S_INIT("SSH-2.0-x\r\n"), NULL },
    { "RTSP", PROTO, S_INIT("RTSP/1.0 200 OK\r\n\r\n"), NULL },
    { "HTTP/2.0", PROTO, S_INIT("HTTP/2.0 200 OK\r\n\r\n"), NULL },
    { "empty line before", PROTO, S_INIT("\r\n" R "\r\n"), NULL },
    { "CL: -1", PROTO, S_INIT(R "Content-Length: -1\r\n\r\n"), NULL },
    { "bad chunk size", PROTO, S_INIT(R "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), NULL },
    { "cut head", E_UPSTREAM_CLOSED, S_INIT(R "X: y\r\n"), NULL },
    { "cut prefix", E_UPSTREAM_CLOSED, S_INIT("HTT"), NULL },
    { "cut CL body", E_UPSTREAM_CLOSED, S_INIT(R "Content-Length: 3\r\n\r\nok"), NULL },
    { "cut before the last chunk", E_UPSTREAM_CLOSED,
      S_INIT(R "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"), NULL },
    { "cut inside a chunk", E_UPSTREAM_CLOSED,
      S_INIT(R "Transfer-Encoding: chunked\r\n\r\n3\r\nok"), NULL },
    { "cut before the last CRLF", E_UPSTREAM_CLOSED,
      S_INIT(R "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"), NULL },
};

/* Feeds bytes cut at `cut`, or byte by byte; heap copies show over-reads. */
static int feed_cut(struct h1_log *l, struct str bytes, size_t cut)
{
    size_t at = 0;
    while (at < bytes.n) {
        size_t n = cut == SIZE_MAX ? 1 : at < cut ? cut - at : bytes.n - at;
        size_t left = 0;
        char *copy = mem_dup(bytes.p + at, n);
        int e = h1_log_feed(l, (struct str){ copy, n }, &left);
        free(copy);
        if (e < 0)
            return e;
        at += n - left;
        if (left > 0)
            break; /* a reply, and bytes behind it */
    }
    if (at < bytes.n || l->c.role == H1_CLIENT) {
        int e = h1_eof(&l->c);
        if (e == 0 && at < bytes.n)
            buf_addf(&l->out, "%zu left", bytes.n - at);
        return e;
    }
    return 0;
}

static void check_row(enum h1_role role, const struct row *row)
{
    struct h1_log whole, l;
    h1_log_init(&whole, role, S("GET"));
    int e = feed_cut(&whole, row->bytes, 0);
    if (e != row->err)
        fail_msg("%s: got %d (%s, %s), want %d", row->name, e, err_row(e)->name,
                 h1_error_text(&whole.c), row->err);
    if (row->out != NULL)
        assert_str(buf_str(&whole.out), str_of(row->out));
    if (e < 0) {
        assert_true(h1_error_text(&whole.c)[0] != '\0');
        assert_int_equal(h1_feed(&whole.c, S("x")), e); /* sticky */
    }
    for (size_t cut = 1; cut <= row->bytes.n; cut++) {
        for (int stop_at = 0; stop_at <= 2; stop_at++) {
            h1_log_init(&l, role, S("GET"));
            l.stop_at = stop_at;
            if (feed_cut(&l, row->bytes, cut == row->bytes.n ? SIZE_MAX : cut) != e)
                fail_msg("%s: cut at %zu gives another result", row->name, cut);
            assert_str(buf_str(&l.out), buf_str(&whole.out));
            h1_log_done(&l);
        }
    }
    h1_log_done(&whole);
}

static void requests_are_taken_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        check_row(H1_SERVER, &requests[i]);
}

static void replies_are_taken_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(replies); i++)
        check_row(H1_CLIENT, &replies[i]);
}

/* before, then `n` times piece, then after. */
static int feed_repeated(enum h1_role role, struct str before, struct str piece, size_t n,
                         struct str after)
{
    struct h1_log l;
    h1_log_init(&l, role, S("GET"));
    int e = h1_log_feed(&l, before, NULL);
    for (size_t i = 0; i < n && e == 0; i++)
        e = h1_log_feed(&l, piece, NULL);
    if (e == 0)
        e = h1_log_feed(&l, after, NULL);
    if (e == 0 && l.ends == 0)
        e = h1_eof(&l.c);
    h1_log_done(&l);
    return e;
}

static void limits_hold(void **state)
{
    (void)state;
    struct str chunked = S(P "Transfer-Encoding: chunked\r\n\r\n");
    struct str end = S("\r\n\r\n"), k = S("0123456789abcdef");
    int large = E_HEADERS_TOO_LARGE;
    assert_int_equal(feed_repeated(H1_SERVER, S(H "X: "), k, 500, end), 0);
    assert_int_equal(feed_repeated(H1_SERVER, S(H "X: "), k, 1024, end), large);
    assert_int_equal(feed_repeated(H1_SERVER, S(H), k, 1024, end), large);
    assert_int_equal(feed_repeated(H1_SERVER, S(H "X:"), S("                "), 9000, end), large);
    assert_int_equal(feed_repeated(H1_SERVER, S(H), S("X: y\r\n"), 99, S("\r\n")), 0);
    assert_int_equal(feed_repeated(H1_SERVER, S(H), S("X: y\r\n"), 100, S("\r\n")), large);
    assert_int_equal(feed_repeated(H1_SERVER, S("GET /"), k, 2048, S(" HTTP/1.1\r\n\r\n")),
                     E_URI_TOO_LONG);
    assert_int_equal(feed_repeated(H1_CLIENT, S(R "X: "), k, 8192, end), E_UPSTREAM_PROTOCOL);
    /* chunk extensions, trailers, leading zeros, blanks */
    assert_int_equal(feed_repeated(H1_SERVER, chunked, S("1;a=b\r\nx\r\n"), 200, S("0\r\n\r\n")),
                     0);
    assert_int_equal(feed_repeated(H1_SERVER, chunked, S("1;a=b\r\nx\r\n"), 5000, S("0\r\n\r\n")),
                     BAD);
    struct str ext = S(P "Transfer-Encoding: chunked\r\n\r\n1;");
    assert_int_equal(feed_repeated(H1_SERVER, ext, k, 4096, S("\r\n")), BAD);
    struct str last = S(P "Transfer-Encoding: chunked\r\n\r\n0\r\n");
    assert_int_equal(feed_repeated(H1_SERVER, last, S("X: y\r\n"), 5000, S("\r\n")), BAD);
    struct str trailer = S(P "Transfer-Encoding: chunked\r\n\r\n0\r\nX:");
    assert_int_equal(feed_repeated(H1_SERVER, trailer, S("        "), 9000, end), BAD);
    assert_int_equal(feed_repeated(H1_SERVER, chunked, S("00000000"), 9000, S("1\r\nx")), BAD);
    assert_int_equal(feed_repeated(H1_SERVER, chunked, S("1\r\nx\r\n"), 50000, S("0\r\n\r\n")), 0);
}

static void a_reply_to_head_has_no_body(void **state)
{
    (void)state;
    struct h1_log l;
    h1_log_init(&l, H1_CLIENT, S("HEAD"));
    struct str in = S(R "Content-Length: 2\r\n\r\n" R "Content-Length: 2\r\n\r\nok");
    size_t left = 0;
    assert_int_equal(h1_log_feed(&l, in, &left), 0);
    assert_str(buf_str(&l.out), S("[   200 1.1 cl=2 body=0 keep=1]end;"));
    h1_next(&l.c, S("GET"));
    l.ended = false;
    assert_true(h1_idle(&l.c));
    assert_int_equal(h1_feed(&l.c, str_slice(in, in.n - left, in.n)), (int)left);
    assert_int_equal(l.ends, 2);
    assert_int_equal(l.body_bytes, 2);
    h1_log_done(&l);
}

/* Goal: h1_feed() uses nothing behind the message, and says when it is idle. */
static void stops_behind_each_message(void **state)
{
    (void)state;
    struct h1_log l;
    h1_log_init(&l, H1_SERVER, S(""));
    struct str in = S(H "\r\n" H "\r\n");
    assert_true(h1_idle(&l.c));
    assert_int_equal(h1_feed(&l.c, in), (int)in.n / 2);
    assert_int_equal(h1_feed(&l.c, in), 0);
    assert_int_equal(h1_eof(&l.c), 0);
    h1_next(&l.c, S(""));
    assert_true(h1_idle(&l.c));
    assert_int_equal(h1_feed(&l.c, S("\r\n")), 2);
    assert_true(h1_idle(&l.c));
    assert_int_equal(h1_feed(&l.c, S("G")), 1);
    assert_false(h1_idle(&l.c));
    assert_int_equal(h1_eof(&l.c), E_CLIENT_GONE);
    h1_log_done(&l);
}

/* Goal: after h1_stop() no byte more is used than the event took. */
static void stop_counts_exactly(void **state)
{
    (void)state;
    struct str head = S(P "Transfer-Encoding: chunked\r\n\r\n"), body = S("2\r\nok\r\n0\r\n\r\n");
    char in[256];
    int n = snprintf(in, sizeof(in), "%s%s", head.p, body.p);
    struct h1_log l;
    h1_log_init(&l, H1_SERVER, S(""));
    l.stop_at = 1;
    assert_int_equal(h1_feed(&l.c, (struct str){ in, (size_t)n }), (int)head.n);
    l.stop_at = 2;
    assert_int_equal(h1_feed(&l.c, body), 5);
    assert_int_equal(l.body_bytes, 2);
    assert_int_equal(h1_feed(&l.c, str_slice(body, 5, body.n)), (int)body.n - 5);
    assert_int_equal(l.ends, 1);
    h1_log_done(&l);
}

/* What was written reads back the same, and what must not be sent is not. */
static void written_requests_read_back(void **state)
{
    (void)state;
    struct arena a;
    struct buf out;
    struct h1_log l;
    arena_init(&a, 1 << 20);
    buf_init(&out, 1 << 20);
    h1_log_init(&l, H1_SERVER, S(""));
    struct http_head head = { .method = S("POST"), .target = S("/v1?x"), .authority = S("u:1") };
    http_add(&head.headers, &a, S("x-a"), S("1"));
    http_add(&head.headers, &a, S("x-evil"), S("1\r\nx-b: 2"));
    http_add(&head.headers, &a, S("content-length"), S("9"));
    http_add(&head.headers, &a, S("te"), S("trailers"));
    h1_write_request(&out, &head, 3);
    buf_add(&out, S("abc"));
    h1_write_request(&out, &head, -1);
    h1_write_chunk(&out, S("0123456789abcdef!"));
    h1_write_last_chunk(&out);
    h1_write_request(&out, &head, -2);
    assert_int_equal(h1_log_feed(&l, buf_str(&out), NULL), 0);
    assert_str(buf_str(&l.out),
               S("[POST /v1?x u:1 0 1.1 cl=3 body=1 x-a=1 keep=1]<abc>end;"
                 "[POST /v1?x u:1 0 1.1 cl=-1 body=1 x-a=1 keep=1]<0123456789abcdef!>end;"
                 "[POST /v1?x u:1 0 1.1 cl=-1 body=0 x-a=1 keep=1]end;"));
    h1_log_done(&l);
    buf_done(&out);
    arena_done(&a);
}

static struct str written_reply(struct buf *out, int status, int64_t body_bytes, bool keep_alive,
                                int minor)
{
    static struct http_header date = { S_INIT("date"), S_INIT("D") };
    struct http_headers headers = { &date, 1, 1 };
    buf_clear(out);
    h1_write_reply(out, status, &headers, body_bytes, keep_alive, minor);
    return buf_str(out);
}

static void written_replies(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_str(written_reply(&out, 200, 5, true, 1),
               S("HTTP/1.1 200 OK\r\ndate: D\r\ncontent-length: 5\r\n\r\n"));
    assert_str(written_reply(&out, 200, -1, true, 1),
               S("HTTP/1.1 200 OK\r\ndate: D\r\ntransfer-encoding: chunked\r\n\r\n"));
    assert_str(written_reply(&out, 200, -3, true, 0),
               S("HTTP/1.1 200 OK\r\ndate: D\r\nconnection: close\r\n\r\n"));
    assert_str(
        written_reply(&out, 200, 0, true, 0),
        S("HTTP/1.1 200 OK\r\ndate: D\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n"));
    assert_str(written_reply(&out, 204, 0, false, 1),
               S("HTTP/1.1 204 No Content\r\ndate: D\r\nconnection: close\r\n\r\n"));
    buf_clear(&out);
    struct http_headers none = { .n = 0 };
    h1_write_reply(&out, 100, &none, -2, true, 1);
    assert_str(buf_str(&out), S("HTTP/1.1 100 Continue\r\n\r\n"));
    buf_clear(&out);
    h1_write_reply(&out, 200, &none, -2, true, 1);
    assert_true(str_contains(buf_str(&out), S(" GMT\r\n")));
    assert_int_equal(buf_len(&out),
                     sizeof("HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n") - 1);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_taken_or_refused),
        cmocka_unit_test(replies_are_taken_or_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(a_reply_to_head_has_no_body),
        cmocka_unit_test(stops_behind_each_message),
        cmocka_unit_test(stop_counts_exactly),
        cmocka_unit_test(written_requests_read_back),
        cmocka_unit_test(written_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
