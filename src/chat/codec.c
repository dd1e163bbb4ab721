#include "codec.h"

static const struct codec codecs[PROTOCOL_COUNT] = {
    [PROTOCOL_MESSAGES] = {
        .name = S_INIT("messages"),
    },
    [PROTOCOL_CHAT] = {
        .name = S_INIT("chat"),
    },
    [PROTOCOL_RESPONSES] = {
        .name = S_INIT("responses"),
    },
};

const struct codec *codec_of(enum protocol p)
{
    return &codecs[p];
}
