#include "codec.h"

static const struct codec codecs[PROTOCOL_COUNT] = {
    [PROTOCOL_MESSAGES] = {
        .name = S_INIT("messages"),
        .decode_request = messages_decode_request,
        .encode_request = messages_encode_request,
        .adopt_request = messages_adopt_request,
        .encoder_size = &messages_encoder_size,
        .encoder_init = messages_encoder_init,
        .encode_event = messages_encode_event,
        .encode_reply = messages_encode_reply,
        .encoder_done = messages_encoder_done,
        .decoder_size = &messages_decoder_size,
        .decoder_init = messages_decoder_init,
        .decode_event = messages_decode_event,
        .decode_end = messages_decode_end,
        .decode_body = messages_decode_body,
        .decoder_done = messages_decoder_done,
    },
    [PROTOCOL_CHAT] = {
        .name = S_INIT("chat"),
        .decode_request = completions_decode_request,
        .encode_request = completions_encode_request,
        .adopt_request = completions_adopt_request,
        .decoder_size = &completions_decoder_size,
        .decoder_init = completions_decoder_init,
        .decode_event = completions_decode_event,
        .decode_end = completions_decode_end,
        .decode_body = completions_decode_body,
        .decoder_done = completions_decoder_done,
        .encoder_size = &completions_encoder_size,
        .encoder_init = completions_encoder_init,
        .encode_event = completions_encode_event,
        .encode_reply = completions_encode_reply,
        .encoder_done = completions_encoder_done,
    },
    [PROTOCOL_RESPONSES] = {
        .name = S_INIT("responses"),
        .decode_request = responses_decode_request,
        .encode_request = responses_encode_request,
        .adopt_request = responses_adopt_request,
        .decoder_size = &responses_decoder_size,
        .decoder_init = responses_decoder_init,
        .decode_event = responses_decode_event,
        .decode_end = responses_decode_end,
        .decode_body = responses_decode_body,
        .decoder_done = responses_decoder_done,
        .encoder_size = &responses_encoder_size,
        .encoder_init = responses_encoder_init,
        .encode_event = responses_encode_event,
        .encode_reply = responses_encode_reply,
        .encoder_done = responses_encoder_done,
    },
};

const struct codec *codec_of(enum protocol p)
{
    return &codecs[p];
}
