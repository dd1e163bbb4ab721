/*
 * A Chat Completions upstream's bytes to each client.  Checks: the pieces in which they come make
 * no difference; the reply ends exactly when it succeeds; what was written is whole events of valid
 * JSON that keep the client's grammar (reply_check.h). The first byte chooses the client, stream or
 * body, the pieces' length and the limit.
 */
#include "reply_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    reply_check(PROTOCOL_CHAT, bytes, n);
    return 0;
}
