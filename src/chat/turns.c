/*
 * The conversation is walked once.  Messages go to a new list as they come; results leave
 * theirs and go behind the calls they answer, wherever these stand.  What a later result can
 * still want to know of a call is in its slot.
 */
#include "turns.h"

#include "envelope.h"
#include "names.h"

struct turn;

struct slot {                      /* a call */
    struct slot *next, *next_same; /* in its turn; of the same id there */
    struct chat_block *call, *result;
    struct turn *turn;
};

struct turn { /* an assistant's message that is in the new list */
    struct turn *next;
    struct chat_message *assistant, *results; /* results: NULL until the first comes */
    struct slot *slots, *last;
    struct slot *open; /* no slot before it waits for a result */
    uint32_t spoken;
};

struct id_use {               /* of an id as the client sent it */
    uint32_t count;           /* of the ids that were made of it */
    struct slot *open, *last; /* in the latest turn that has it */
};

struct walk {
    struct convert *c;
    struct chat_message *first, *last; /* the new list */
    struct turn *turns, *last_turn;
    struct names ids;      /* to struct id_use */
    struct names sent_ids; /* as the upstream gets them */
    uint32_t spoken;       /* messages of users and assistants so far */
    uint32_t made_ids;
    struct chat_message *empty_user, *before_empty; /* the first that was left out */
};

/* Where the client's messages are, for warnings. */
static int warn(struct walk *w, const char *action)
{
    bool items = w->c->options.client == PROTOCOL_RESPONSES;
    return convert_warn(w->c, action, items ? S("input") : S("messages"));
}

/* ---- lists ---- */

static struct chat_message *new_message(struct walk *w, enum chat_role role)
{
    struct chat_message *m = arena_new(w->c->temp, struct chat_message, 1);
    m->role = role;
    return m;
}

/* Behind `after`, or in front when that is NULL. */
static void insert(struct walk *w, struct chat_message *after, struct chat_message *m)
{
    struct chat_message **at = after != NULL ? &after->next : &w->first;
    m->next = *at;
    *at = m;
    if (w->last == after)
        w->last = m;
}

static void append_block(struct chat_message *m, struct chat_block *b)
{
    b->next = NULL;
    if (m->last != NULL)
        m->last->next = b;
    else
        m->blocks = b;
    m->last = b;
}

static struct chat_block *new_text(struct walk *w, struct text text)
{
    struct chat_block *b = chat_new_block(w->c, CHAT_TEXT);
    b->text = text;
    return b;
}

/* ---- what is left out ---- */

static bool is_void(const struct walk *w, const struct chat_block *b)
{
    if (b->kind != CHAT_TEXT && b->kind != CHAT_REFUSAL)
        return false;
    return b->text.n == 0 || (w->c->options.upstream == PROTOCOL_MESSAGES && text_blank(b->text));
}

static void drop_void(const struct walk *w, struct chat_block **list)
{
    while (*list != NULL) {
        if (is_void(w, *list))
            *list = (*list)->next;
        else
            list = &(*list)->next;
    }
}

/* Chat upstreams may take the text of reasoning that they did not make; that is their encoder's
 * choice. */
static int keeps(struct walk *w, const struct chat_block *b, bool *ret_keeps)
{
    *ret_keeps = !is_void(w, b);
    if (b->kind != CHAT_REASONING || w->c->options.upstream == PROTOCOL_CHAT)
        return 0;
    return envelope_may_send(w->c, &b->reasoning.proof, ret_keeps);
}

/* ---- results ---- */

/* The call that a result answers, or NULL. */
static struct slot *slot_for(struct walk *w, const struct chat_result *result)
{
    if (result->call_id.n == 0) {
        struct turn *t = w->last_turn;
        while (t != NULL && t->open != NULL && t->open->result != NULL)
            t->open = t->open->next;
        return t != NULL ? t->open : NULL;
    }
    struct id_use *use = names_find(&w->ids, result->call_id);
    if (use == NULL)
        return NULL;
    while (use->open != NULL && use->open->result != NULL)
        use->open = use->open->next_same;
    return use->open != NULL ? use->open : use->last;
}

static void answer(struct walk *w, struct slot *slot, struct chat_block *result)
{
    struct turn *t = slot->turn;
    if (t->results == NULL) {
        t->results = new_message(w, CHAT_TOOL);
        insert(w, t->assistant, t->results);
    }
    append_block(t->results, result);
    slot->result = result;
}

static int take_result(struct walk *w, struct slot *slot, struct chat_block *b)
{
    b->result.call_id = slot->call->call.id;
    b->result.kind = slot->call->call.kind;
    if (!b->result.is_string)
        drop_void(w, &b->result.blocks);
    if (slot->result != NULL) { /* the last one counts, at the first one's place */
        slot->result->result = b->result;
        slot->result->cache = b->cache;
        return warn(w, "merged");
    }
    answer(w, slot, b);
    return slot->turn->spoken == w->spoken ? 0 : warn(w, "moved");
}

/* A result that nobody called for becomes a text of the user. */
static int take_orphan(struct walk *w, struct chat_message *m, const struct chat_block *b)
{
    struct arena *a = w->c->temp;
    struct chat_block *content = b->result.blocks;
    struct text title =
        text_cat(a, TEXT("Result of unknown tool call "), text_escape(a, b->result.call_id));
    title = text_cat(a, title, TEXT(":\\n"));
    if (content != NULL && content->kind == CHAT_TEXT) {
        title = text_cat(a, title, content->text);
        content = content->next;
    }
    append_block(m, new_text(w, title));
    m->last->cache = b->cache;
    while (content != NULL) {
        struct chat_block *next = content->next;
        if (!is_void(w, content))
            append_block(m, content);
        content = next;
    }
    return warn(w, "degraded");
}

/* Takes the results out of a message, and what is not to be sent. */
static int sift(struct walk *w, struct chat_message *m, bool *ret_had_results)
{
    struct chat_block *b = m->blocks, *next;
    bool had_results = false;
    m->blocks = m->last = NULL;
    for (; b != NULL; b = next) {
        next = b->next;
        bool keep = true;
        int r = 0;
        if (b->kind == CHAT_RESULT) {
            struct slot *slot = slot_for(w, &b->result);
            r = slot != NULL ? take_result(w, slot, b) : take_orphan(w, m, b);
            had_results = true;
            keep = false;
        } else {
            r = keeps(w, b, &keep);
        }
        if (r < 0)
            return r;
        if (keep)
            append_block(m, b);
    }
    *ret_had_results = had_results;
    return 0;
}

/* ---- calls ---- */

/* The upstream's id of a call: of what stands before it in the conversation, and of nothing else.
 * What is tried once is not tried again, so this is linear whatever ids a client makes up. */
static struct str unique_id(struct walk *w, struct id_use *use, struct str id)
{
    struct arena *a = w->c->temp;
    for (;;) {
        struct str sent = id;
        if (++use->count > 1)
            sent = arena_cat(a, id, arena_printf(a, "#%u", use->count));
        sent = turns_fix_id(a, sent, w->c->options.upstream);
        if (names_add(&w->sent_ids, sent))
            return sent;
    }
}

static void take_call(struct walk *w, struct turn *t, struct chat_block *b)
{
    struct arena *a = w->c->temp;
    if (b->call.id.n == 0)
        b->call.id = arena_printf(a, "call_ccp_%u", ++w->made_ids);
    void **at = names_slot(&w->ids, b->call.id);
    if (*at == NULL)
        *at = arena_new(a, struct id_use, 1);
    struct id_use *use = *at;
    b->call.id = unique_id(w, use, b->call.id);

    struct slot *slot = arena_new(a, struct slot, 1);
    *slot = (struct slot){ .call = b, .turn = t };
    if (t->last != NULL)
        t->last->next = slot;
    else
        t->slots = slot;
    t->last = slot;
    if (t->open == NULL)
        t->open = slot;
    if (use->last != NULL && use->last->turn == t)
        use->last->next_same = slot;
    else
        use->open = slot;
    use->last = slot;
}

static struct turn *new_turn(struct walk *w, struct chat_message *m)
{
    struct turn *t = arena_new(w->c->temp, struct turn, 1);
    if (w->last_turn != NULL)
        w->last_turn->next = t;
    else
        w->turns = t;
    w->last_turn = t;
    insert(w, w->last, m);
    t->assistant = m;
    t->spoken = ++w->spoken;
    return t;
}

static void take_assistant(struct walk *w, struct chat_message *m)
{
    struct chat_block *b = m->blocks, *next;
    if (b == NULL)
        return;
    bool joins = w->last != NULL && w->last->role == CHAT_ASSISTANT;
    struct turn *t = joins ? w->last_turn : new_turn(w, m);
    for (; b != NULL; b = next) {
        next = b->next;
        if (joins)
            append_block(t->assistant, b);
        if (b->kind == CHAT_CALL)
            take_call(w, t, b);
    }
    if (joins)
        t->assistant->is_string = false;
}

/* ---- messages ---- */

static int take_message(struct walk *w, struct chat_message *m)
{
    bool had_results;
    int r = sift(w, m, &had_results);
    if (r < 0)
        return r;
    if (m->role == CHAT_ASSISTANT) {
        take_assistant(w, m);
    } else if (m->blocks != NULL) {
        if (had_results)
            m->is_string = false;
        if (m->role == CHAT_USER)
            w->spoken++;
        if (m->role == CHAT_TOOL)
            m->role = CHAT_USER; /* orphans */
        insert(w, w->last, m);
    } else if (m->role == CHAT_USER && !had_results && w->empty_user == NULL) {
        w->empty_user = m;
        w->before_empty = w->last;
    }
    return 0;
}

/* Calls that nobody answered, unless the conversation ends with them. */
static int answer_all(struct walk *w)
{
    int r = 0;
    for (struct turn *t = w->turns; t != NULL && r == 0; t = t->next) {
        if (t->assistant->next == NULL)
            continue;
        for (struct slot *slot = t->slots; slot != NULL && r == 0; slot = slot->next) {
            if (slot->result != NULL)
                continue;
            struct chat_block *b = chat_new_block(w->c, CHAT_RESULT);
            b->result = (struct chat_result){
                .call_id = slot->call->call.id,
                .kind = slot->call->call.kind,
                .is_error = true,
                .is_string = true,
                .blocks = new_text(w, TEXT("(no result)")),
            };
            answer(w, slot, b);
            r = warn(w, "synthesized");
        }
    }
    return r;
}

/* A turn that the model made itself stays as it is; in others text before calls is safest (A1.3
 * of protocols.md). */
static void order_blocks(struct chat_message *m)
{
    struct chat_message calls = { 0 };
    struct chat_block *b, *next;
    for (b = m->blocks; b != NULL; b = b->next)
        if (b->kind == CHAT_REASONING)
            return;
    b = m->blocks;
    m->blocks = m->last = NULL;
    for (; b != NULL; b = next) {
        next = b->next;
        append_block(b->kind == CHAT_CALL ? &calls : m, b);
    }
    if (calls.blocks == NULL)
        return;
    if (m->last != NULL)
        m->last->next = calls.blocks;
    else
        m->blocks = calls.blocks;
    m->last = calls.last;
}

/* ---- somebody must speak first ---- */

static int say(struct walk *w, struct chat_message *after, struct text text)
{
    struct chat_message *m = new_message(w, CHAT_USER);
    m->is_string = true;
    append_block(m, new_text(w, text));
    insert(w, after, m);
    return warn(w, "synthesized");
}

static bool has_role(const struct walk *w, enum chat_role role)
{
    const struct chat_message *m = w->first;
    while (m != NULL && m->role != role)
        m = m->next;
    return m != NULL;
}

/* The only user message was empty. */
static int refill_user(struct walk *w)
{
    bool messages = w->c->options.upstream == PROTOCOL_MESSAGES;
    if (w->empty_user == NULL || has_role(w, CHAT_USER) || (messages && has_role(w, CHAT_TOOL)))
        return 0;
    struct chat_message *after = w->before_empty;
    if (after != NULL && after->next != NULL && after->next->role == CHAT_TOOL)
        after = after->next;
    return say(w, after, messages ? TEXT("(empty)") : TEXT(" "));
}

/* Messages upstreams want a user first (C2.3,7). */
static int begin_with_user(struct walk *w)
{
    struct chat_message *before = NULL, *m = w->first;
    for (; m != NULL && (m->role == CHAT_SYSTEM || m->role == CHAT_DEVELOPER); m = m->next)
        before = m;
    if (m == NULL)
        return say(w, before, TEXT("(empty)"));
    return m->role == CHAT_ASSISTANT ? say(w, before, TEXT("(continued)")) : 0;
}

static void give_back(struct walk *w)
{
    struct chat_request *request = &w->c->request;
    request->messages = w->first;
    request->last = w->last;
    request->message_count = 0;
    for (struct chat_message *m = w->first; m != NULL; m = m->next)
        request->message_count++;
}

int turns_normalize(struct convert *c)
{
    struct walk w = { .c = c };
    struct chat_message *m = c->request.messages, *next;
    int r = 0;
    names_init(&w.ids, c->temp);
    names_init(&w.sent_ids, c->temp);
    for (; m != NULL && r == 0; m = next) {
        next = m->next;
        m->next = NULL;
        r = take_message(&w, m);
    }
    if (r == 0)
        r = refill_user(&w); /* before: what it adds may stand behind calls */
    if (r == 0)
        r = answer_all(&w);
    if (r == 0 && c->options.upstream == PROTOCOL_MESSAGES) {
        for (struct turn *t = w.turns; t != NULL; t = t->next)
            order_blocks(t->assistant);
        r = begin_with_user(&w);
    }
    give_back(&w);
    return r;
}
