#include "mock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "descriptors.h"
#include "err.h"
#include "listener.h"
#include "mock_answer.h"
#include "mock_exchange.h"
#include "privilege.h"
#include "sandbox.h"
#include "tls.h"

/* Generous: the simulator must not be what a test of the proxy's limits runs into. */
static const struct server_limits limits = {
    .h1 = { .header_bytes = 256 * 1024,
            .field_bytes = 128 * 1024,
            .target_bytes = 64 * 1024,
            .fields_max = 500 },
    .h2 = { .header_bytes = 256 * 1024,
            .field_bytes = 64 * 1024,
            .target_bytes = 64 * 1024,
            .fields_max = 500,
            .streams_max = 1000 },
    .header_ns = 60 * NS_PER_S,
    .keepalive_ns = 300 * NS_PER_S,
    .write_ns = 300 * NS_PER_S,
    .body_grace_ns = 300 * NS_PER_S,
    .body_bytes_per_s = 1,
    .conns_max = 60000,
};

static void on_request(void *ctx, struct server_stream *s, const struct http_head *head)
{
    mock_exchange_new(ctx, s, head);
}

static void on_refused(void *ctx, const struct server_refusal *why, struct arena *a,
                       struct http_headers *headers, struct buf *body)
{
    const struct err_row *row = err_row(refusal_row(why->reason)->err);
    (void)ctx;
    if (body == NULL)
        return;
    http_set(headers, a, S("content-type"), S("application/json"));
    mock_json(body, "{\"error\":{\"message\":$s,\"type\":$s,\"param\":null,\"code\":null}}",
              why->text.n > 0 ? why->text : str_of(row->text), str_of(row->type));
}

static const struct server_handler handler = {
    .on_request = on_request,
    .on_body = mock_exchange_body,
    .on_end = mock_exchange_end,
    .on_drain = mock_exchange_drain,
    .on_gone = mock_exchange_gone,
    .on_refused = on_refused,
};

static void say_ready(const struct mock_settings *settings, uint16_t port)
{
    if (!settings->quiet) {
        printf("cc-proxy mock listens on %s://%.*s:%u\n",
               settings->tls_cert_file != NULL ? "https" : "http", STR_ARG(settings->host), port);
        fflush(stdout);
    }
    if (settings->ready_fd < 0)
        return;
    dprintf(settings->ready_fd, "%u\n", port);
    close(settings->ready_fd);
}

static int open_all(const struct mock_settings *settings, int *ret_fd, SSL_CTX **ret_tls,
                    struct buf *error)
{
    *ret_tls = NULL;
    if (settings->tls_cert_file != NULL) {
        int e = tls_server_new(settings->tls_cert_file, settings->tls_key_file, ret_tls, error);
        if (e < 0)
            return e;
    }
    return listener_open(settings->host, settings->port, ret_fd, error);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    loop_stop(handle->data);
}

static void watch_signal(struct loop *l, uv_signal_t *handle, int number)
{
    must(uv_signal_init(&l->uv, handle) == 0);
    handle->data = l;
    must(uv_signal_start(handle, on_signal, number) == 0);
}

/* It opens no file and calls nobody once it listens.  Where the kernel has no sandbox it goes
 * without: only tests and trials talk to it. */
static void enter_sandbox(const struct mock_settings *settings)
{
    static const struct sandbox_files nothing;
    if (!settings->drop_privileges)
        return;
    (void)!sandbox_files(&nothing);
    (void)!sandbox_calls(false, false);
}

static void serve(const struct mock_settings *settings, int fd, SSL_CTX *tls)
{
    static struct loop loop; /* its handles are closed by loop_done() */
    static uv_signal_t on_term, on_int;
    struct mock mock = { .loop = &loop, .tokens_per_second = settings->tokens_per_second };
    uint16_t port = listener_port(fd);
    loop_init(&loop);
    mock_records_init(&mock.records);
    watch_signal(&loop, &on_term, SIGTERM);
    watch_signal(&loop, &on_int, SIGINT);
    struct server *server = server_new(&loop, fd, tls, &limits, &handler, &mock);
    enter_sandbox(settings); /* its event loop is made */
    say_ready(settings, port);
    loop_run(&loop);
    server_free(server);
    uv_close((uv_handle_t *)&on_term, NULL);
    uv_close((uv_handle_t *)&on_int, NULL);
    loop_done(&loop);
    mock_records_clear(&mock.records);
}

static int drop_privileges(const struct mock_settings *settings, struct buf *error)
{
    struct privilege_user user;
    if (!settings->drop_privileges)
        return 0;
    int e = settings->user != NULL ? privilege_find_user(str_of(settings->user), &user, error) : 0;
    if (e == 0 && (e = privilege_drop(settings->user != NULL ? &user : NULL)) < 0)
        buf_addf(error, "cannot give up privileges: %s", strerror(-e));
    return e;
}

int mock_run(const struct mock_settings *settings)
{
    struct buf error;
    SSL_CTX *tls;
    int fd;
    signal(SIGPIPE, SIG_IGN);
    descriptors_raise(); /* thousands of conns need as many */
    buf_init(&error, 4096);
    int e = open_all(settings, &fd, &tls, &error);
    if (e == 0)
        e = drop_privileges(settings, &error);
    if (e < 0)
        fprintf(stderr, "cc-proxy mock: %.*s\n", STR_ARG(buf_str(&error)));
    else
        serve(settings, fd, tls);
    SSL_CTX_free(tls);
    buf_done(&error);
    return e < 0 ? 1 : 0;
}
