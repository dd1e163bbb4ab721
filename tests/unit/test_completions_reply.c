/*
 * Goal: whatever a Chat Completions upstream sends (B2's list of oddities), Messages and Chat
 * clients get a reply that keeps their grammar (C3.3, C4.1, C5, cases E48..E159); the pieces in
 * which it comes make no difference.
 */
#include "arena_fixture.h"
#include "completions_reply.h"
#include "reply_digest.h"

/* The worked example of C8.2. */
#define WORKED                                                                                \
    "d {'role':'assistant','content':''}\n"                                                   \
    "d {'reasoning_content':'hm'}\n"                                                          \
    "d {'content':'Hi'}\n"                                                                    \
    "d {'tool_calls':[{'index':0,'id':'call_a','type':'function','function':{'name':'f',"     \
    "'arguments':''}}]}\n"                                                                    \
    "d {'tool_calls':[{'index':0,'function':{'arguments':'{\\'x\\''}}]}\n"                    \
    "d {'tool_calls':[{'index':1,'id':'call_b','type':'function','function':{'name':'g',"     \
    "'arguments':'{'}}]}\n"                                                                   \
    "d {'tool_calls':[{'index':0,'function':{'arguments':':1}'}}]}\n"                         \
    "d {'tool_calls':[{'index':1,'function':{'arguments':'}'}}]}\n"                           \
    "f tool_calls\n"                                                                          \
    "u {'prompt_tokens':100,'completion_tokens':20,'prompt_tokens_details':{'cached_tokens':" \
    "80}}\n"                                                                                  \
    "DONE"

#define SIGN "s(ccp1.c.eyJ1IjoidTEiLCJtIjoibSJ9)"
#define START "d {'role':'assistant','content':''}\n"
#define CALL(index, id, name, arguments)                                               \
    "d {'tool_calls':[{'index':" index ",'id':'" id "','function':{'name':'" name "'," \
    "'arguments':'" arguments "'}}]}\n"
#define MORE(index, arguments) \
    "d {'tool_calls':[{'index':" index ",'function':{'arguments':'" arguments "'}}]}\n"
#define ZERO "{0/0/0/0}."

#define CASE(goal, lines, want)                                \
    {                                                          \
        goal, PROTOCOL_MESSAGES, lines, want, NULL, NULL, NULL \
    }

static const struct reply_case to_messages[] = {
    CASE("worked example, E94: interleaved calls", WORKED,
         "<thinkingh(hm)" SIGN "><textt(Hi)><tool_use:f:call_aj({\"x\")j(:1})>"
         "<tool_use:g:call_bj({)j(})>=tool_use{20/0/80/20}."),
    CASE("E94: pieces 0,1,0,1",
         START CALL("0", "a", "f", "{") CALL("1", "b", "g", "{") MORE("0", "}")
             MORE("1", "}") "f tool_calls\nDONE",
         "<tool_use:f:aj({)j(})><tool_use:g:bj({)j(})>=tool_use" ZERO),
    CASE("E95: a complete call makes room at once; the last goes on as it comes",
         START CALL("0", "a", "f", "{}") CALL("1", "b", "g", "{}") CALL("2", "c", "h", "{")
             MORE("2", "}") "f tool_calls\nDONE",
         "<tool_use:f:aj({})><tool_use:g:bj({})><tool_use:h:cj({)j(})>=tool_use" ZERO),
    CASE(
        "E96: the name first, the id two chunks later",
        START "d {'tool_calls':[{'index':0,'function':{'name':'f','arguments':'{'}}]}\n" MORE(
            "0",
            "\\'a\\':") "d {'tool_calls':[{'index':0,'id':'a','function':{}}]}\n" MORE("0",
                                                                                       "1}") "f "
                                                                                             "tool_"
                                                                                             "calls"
                                                                                             "\nDON"
                                                                                             "E",
        "<tool_use:f:aj({\"a\":)j(1})>=tool_use" ZERO),
    CASE("E97: id and name in every delta",
         START CALL("0", "a", "f", "{") CALL("0", "a", "f", "}") "f tool_calls\nDONE",
         "<tool_use:f:aj({)j(})>=tool_use" ZERO),
    CASE("E98: no index: id or name tell calls apart",
         START "d {'tool_calls':[{'id':'a','function':{'name':'f','arguments':'{'}}]}\n"
               "d {'tool_calls':[{'function':{'arguments':'}'}}]}\n"
               "d {'tool_calls':[{'id':'b','function':{'name':'g','arguments':'{'}}]}\n"
               "d {'tool_calls':[{'id':'b','function':{'arguments':'}'}}]}\n"
               "f tool_calls\nDONE",
         "<tool_use:f:aj({)j(})><tool_use:g:bj({)j(})>=tool_use" ZERO),
    CASE("whole calls that all say index 0",
         START CALL("0", "a", "f", "{}") CALL("0", "b", "g", "{}") "f tool_calls\nDONE",
         "<tool_use:f:aj({})><tool_use:g:bj({})>=tool_use" ZERO),
    CASE("the same, and pieces are for the newest",
         START CALL("0", "a", "f", "{}") CALL("0", "b", "g", "{") CALL("1", "c", "h", "{}")
             MORE("0", "}") "f tool_calls\nDONE",
         "<tool_use:f:aj({})><tool_use:g:bj({)j(})><tool_use:h:cj({})>=tool_use" ZERO),
    CASE("the same without ids",
         START CALL("0", "", "f", "{}") CALL("0", "", "g", "{\\'x\\':1}") "f tool_calls\nDONE",
         "<tool_use:f:call_91c80b8a419d3f826429f2d8j({})>"
         "<tool_use:g:call_3e070d5cd800773206baa949j({\"x\":1})>=tool_use" ZERO),
    CASE("the same, the first without arguments",
         START CALL("0", "a", "f", "") CALL("0", "b", "g", "{}") "f tool_calls\nDONE",
         "<tool_use:f:a><tool_use:g:bj({})>=tool_use" ZERO),
    CASE("another id with every piece, the name as well: one call",
         START CALL("0", "a", "f", "") CALL("0", "b", "f", "{") MORE("0", "}")
             CALL("0", "a", "f", "") CALL("0", "", "f", " ") "f tool_calls\nDONE",
         "<tool_use:f:aj({)j(})j( )>=tool_use" ZERO),
    CASE("E99: white space between calls is no text",
         START CALL("0", "a", "f", "{}") "d {'content':'\\n'}\n" CALL("1", "b", "g",
                                                                      "{}") "f tool_calls\nDONE",
         "<tool_use:f:aj({})><tool_use:g:bj({})>=tool_use" ZERO),
    CASE("text while a call is open waits for its end",
         START CALL("0", "a", "f", "{") "d {'content':'x'}\n" MORE("0", "}") "f tool_calls\nDONE",
         "<tool_use:f:aj({)j(})><textt(x)>=tool_use" ZERO),
    CASE("E100: empty tool_calls in every chunk",
         START "d {'content':'a','tool_calls':[]}\nd {'content':'b','tool_calls':null}\n"
               "f stop\nDONE",
         "<textt(a)t(b)>=end_turn" ZERO),
    CASE("E101: usage in the finish chunk and later: the last wins, once",
         START "d {'content':'a'}\n"
               "{'choices':[{'index':0,'delta':{},'finish_reason':'stop'}],'usage':"
               "{'prompt_tokens':1,'completion_tokens':1}}\n"
               "u {'prompt_tokens':9,'completion_tokens':3}\nDONE",
         "<textt(a)>=end_turn{9/0/0/3}."),
    CASE("E103: no [DONE] after the finish", START "d {'content':'a'}\nf stop",
         "<textt(a)>=end_turn" ZERO),
    CASE("E103: the end before the finish", START "d {'content':'a'}",
         "<textt(a)!api_error:upstream closed the stream before the reply was complete"),
    CASE("the end is marked, a finish never came", START "d {'content':'a'}\nDONE",
         "<textt(a)>=end_turn" ZERO),
    CASE("the end is marked in the middle of a call", START CALL("0", "a", "f", "{") "DONE",
         "<tool_use:f:aj({)!api_error:upstream closed the stream before the reply was complete"),
    CASE("E104: no role anywhere", "d {'content':'a'}\nf stop\nDONE", "<textt(a)>=end_turn" ZERO),
    CASE("E105: filter results come first",
         "{'choices':[],'prompt_filter_results':[]}\n"
         "d {'content':'a'}\nf stop\nDONE",
         "<textt(a)>=end_turn" ZERO),
    CASE("E106: usage after the end is not sent",
         START "d {'content':'a'}\nf stop\nDONE\nu {'prompt_tokens':9,'completion_tokens':3}",
         "<textt(a)>=end_turn" ZERO),
    CASE("E107: no content", START "f stop\nDONE", "=end_turn" ZERO),
    CASE("E48: stop, though a tool was called", START CALL("0", "a", "f", "{}") "f stop\nDONE",
         "<tool_use:f:aj({})>=tool_use" ZERO),
    CASE("E49: tool_calls, though none was",
         START "d {'content':'a','tool_calls':[]}\n"
               "f tool_calls\nDONE",
         "<textt(a)>=end_turn" ZERO),
    CASE("function_call, though none was", START "d {'content':'a'}\nf function_call\nDONE",
         "<textt(a)>=end_turn" ZERO),
    CASE("a refusal that is cut off", START "d {'refusal':'no'}\nf length\nDONE",
         "<textt(no)>=max_tokens" ZERO),
    CASE("length stays with calls", START CALL("0", "a", "f", "{") "f length\nDONE",
         "<tool_use:f:aj({)>=max_tokens" ZERO),
    CASE("E82: the same reasoning in two members",
         START "d {'reasoning':'hm','reasoning_content':'hm'}\nd {'content':'a'}\nf stop\nDONE",
         "<thinkingh(hm)" SIGN "><textt(a)>=end_turn" ZERO),
    CASE("E83: reasoning and content in turns",
         "d {'reasoning':'1'}\nd {'content':'2'}\nd {'reasoning':'3'}\nd {'content':'4'}\n"
         "f stop\nDONE",
         "<thinkingh(1)" SIGN "><textt(2)><thinkingh(3)" SIGN "><textt(4)>=end_turn" ZERO),
    CASE("compatible backends' words for the end: eos", "d {'content':'a'}\nf eos\nDONE",
         "<textt(a)>=end_turn" ZERO),
    CASE("end_turn", "d {'content':'a'}\nf end_turn\nDONE", "<textt(a)>=end_turn" ZERO),
    CASE("stop_sequence", "d {'content':'a'}\nf stop_sequence\nDONE", "<textt(a)>=end_turn" ZERO),
    CASE("max_tokens", "d {'content':'a'}\nf max_tokens\nDONE", "<textt(a)>=max_tokens" ZERO),
    CASE("an unknown one", "d {'content':'a'}\nf zork\nDONE", "<textt(a)>=end_turn" ZERO),
    CASE("an unknown one, behind a call", CALL("0", "a", "f", "{}") "f zork\nDONE",
         "<tool_use:f:aj({})>=tool_use" ZERO),
    CASE("error", "d {'content':'a'}\nf error\nDONE",
         "<textt(a)!api_error:the upstream reported an error"),
    CASE("filter results behind the finish, in a choice without a delta",
         "d {'content':'a'}\nf stop\n"
         "{'choices':[{'index':0,'finish_reason':null,'content_filter_offsets':{}}]}\n"
         "u {'prompt_tokens':1,'completion_tokens':2}\nDONE",
         "<textt(a)>=end_turn{1/0/0/2}."),
    CASE("usage in an array",
         "d {'content':'a'}\nf stop\n"
         "u [{'prompt_tokens':1,'completion_tokens':2}]\nDONE",
         "<textt(a)>=end_turn{1/0/0/2}."),
    CASE("indexes that begin with 1, or are no numbers",
         CALL("1", "a", "f", "{}") CALL("'2'", "b", "g", "{") MORE("'2'", "}") "f stop\nDONE",
         "<tool_use:f:aj({})><tool_use:g:bj({)j(})>=tool_use" ZERO),
    CASE("the id, the name and the arguments one by one",
         "d {'tool_calls':[{'index':0,'id':'a'}]}\n"
         "d {'tool_calls':[{'index':0,'function':{'name':'f'}}]}\n" MORE("0", "{}") "f stop\nDONE",
         "<tool_use:f:aj({})>=tool_use" ZERO),
    CASE("a finish with every chunk: nothing is lost, and the last reason counts",
         "{'choices':[{'index':0,'delta':{'content':'a'},'finish_reason':'stop'}]}\n"
         "{'choices':[{'index':0,'delta':{'content':'b'},'finish_reason':'stop'}]}\n"
         "{'choices':[{'index':0,'delta':{'content':'c'},'finish_reason':'length'}]}\nDONE",
         "<textt(a)><textt(b)t(c)>=max_tokens" ZERO),
    CASE("a call behind the finish, and pieces for one that was stopped there",
         CALL("0", "a", "f", "{}") "f tool_calls\n" MORE("0", "{}") CALL("1", "b", "g", "{")
             MORE("1", "}") "u {'prompt_tokens':1,'completion_tokens':2}\n" MORE("1", "{}"),
         "<tool_use:f:aj({})><tool_use:g:bj({)j(})>=tool_use{1/0/0/2}."),
    CASE("another choice is ignored",
         START "{'choices':[{'index':1,'delta':{'content':'no'},'finish_reason':'stop'}]}\n"
               "d {'content':'a'}\nf stop\nDONE",
         "<textt(a)>=end_turn" ZERO),
    CASE("a message instead of a delta",
         "{'choices':[{'index':0,'message':{'role':'assistant','content':'a'}}]}\nf stop\nDONE",
         "<textt(a)>=end_turn" ZERO),
    CASE("a refusal is text, and a reason",
         START "d {'refusal':'I '}\nd {'refusal':'won\\u0027t'}\n"
               "f stop\nDONE",
         "<textt(I )t(won't)>=refusal#(I won't)" ZERO),
    CASE("content_filter", START "d {'content':'a'}\nf content_filter\nDONE",
         "<textt(a)>=refusal" ZERO),
    CASE("Mistral's parts",
         "d {'content':[{'type':'thinking','thinking':[{'type':'text','text':'hm'}]}]}\n"
         "d {'content':[{'type':'text','text':'a'}]}\nd {'content':'b'}\nf stop\nDONE",
         "<thinkingh(hm)" SIGN "><textt(a)t(b)>=end_turn" ZERO),
    CASE("the old function_call",
         START "d {'function_call':{'name':'f','arguments':''}}\n"
               "d {'function_call':{'arguments':'{}'}}\nf function_call\nDONE",
         "<tool_use:f:call_91c80b8a419d3f826429f2d8j({})>=tool_use" ZERO),
    CASE("arguments that are an object, and none",
         START "d {'tool_calls':[{'index':0,'id':'a','function':{'name':'f','arguments':"
               "{'x': 'y'}}}]}\n"
               "d {'tool_calls':[{'index':1,'id':'b','function':{'name':'g','arguments':null}}]}\n"
               "f tool_calls\nDONE",
         "<tool_use:f:aj({\"x\":\"y\"})><tool_use:g:b>=tool_use" ZERO),
    CASE("a call that never gets a name", START CALL("0", "a", "", "{}") "f tool_calls\nDONE",
         "<tool_use:unknown_tool:aj({})>=tool_use" ZERO),
    CASE("a call that is nothing at all",
         START "d {'content':'a'}\nd {'tool_calls':[{'index':0}]}\n"
               "f stop\nDONE",
         "<textt(a)>=end_turn" ZERO),
    CASE("E218: two calls with one id",
         START CALL("0", "a", "f", "{}") CALL("1", "a", "g", "{}") "f tool_calls\nDONE",
         "<tool_use:f:aj({})><tool_use:g:a_2_0f902cf93256f2dej({})>=tool_use" ZERO),
    CASE("E159: DeepSeek's names for cached tokens",
         START "f stop\nu {'prompt_tokens':100,'completion_tokens':5,'prompt_cache_hit_tokens':60,"
               "'prompt_cache_miss_tokens':40,'prompt_tokens_details':null}\nDONE",
         "=end_turn{40/0/60/5}."),
    CASE("E157: more cached than there is",
         START "f stop\nu {'prompt_tokens':100,"
               "'completion_tokens':5,'prompt_tokens_details':"
               "{'cached_tokens':120}}\nDONE",
         "=end_turn{0/0/100/5}."),
    CASE("reasoning counted beside the output",
         START "f stop\nu {'prompt_tokens':10,'completion_tokens':5,'total_tokens':22,"
               "'completion_tokens_details':{'reasoning_tokens':7}}\nDONE",
         "=end_turn{10/0/0/12}."),
    CASE("usage inside of the choice",
         "{'choices':[{'index':0,'delta':{'content':'a'},'finish_reason':'stop','usage':"
         "{'prompt_tokens':3,'completion_tokens':1}}]}\nDONE",
         "<textt(a)>=end_turn{3/0/0/1}."),
    CASE("an error before anything was sent", START "{'error':{'message':'slow down','code':429}}",
         "-429:slow down"),
    CASE("an error in the middle",
         START "d {'content':'a'}\n"
               "{'error':{'message':'slow down','code':429}}\nDONE",
         "<textt(a)!rate_limit_error:slow down"),
    CASE("the finish says error", START "d {'content':'a'}\nf insufficient_system_resource\nDONE",
         "<textt(a)!api_error:the upstream is overloaded"),
    CASE("half a character at a delta's end",
         "d {'content':'\\ud83d'}\nd {'content':'\\ude00'}\nd {'content':'x\\ud83d'}\n"
         "f stop\nDONE",
         "<textt(\xf0\x9f\x98\x80)t(x)t(\xef\xbf\xbd)>=end_turn" ZERO),
    { "the backend names the stop string", PROTOCOL_MESSAGES,
      START "{'choices':[{'index':0,'delta':{'content':'a'},'finish_reason':'stop','stop_reason':"
            "'END'}]}\nDONE",
      "<textt(a)>=stop_sequence#(END)" ZERO,
      "{\"model\":\"m\",\"max_tokens\":9,\"stream\":true,\"stop_sequences\":[\"END\"],"
      "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
      NULL, NULL },
    { "think tags are left alone", PROTOCOL_MESSAGES,
      "d {'content':'<think>a</think>b'}\nf stop\nDONE", "<textt(<think>a</think>b)>=end_turn" ZERO,
      NULL, "chat.think_tags", "no" },
    { "think tags are split off, in pieces and escaped", PROTOCOL_MESSAGES,
      "d {'content':'\\n\\u003cthi'}\nd {'content':'nk\\u003eh<m</th'}\nd "
      "{'content':'ink>\\n\\nb'}\n"
      "f stop\nDONE",
      "<thinkingh(h)h(<)h(m)" SIGN "><textt(b)>=end_turn" ZERO, NULL, "chat.think_tags", "yes" },
    { "the end within a tag", PROTOCOL_MESSAGES, "d {'content':'<thi'}\nf stop\nDONE",
      "<textt(<thi)>=end_turn" ZERO, NULL, "chat.think_tags", "yes" },
    { "no tag after all", PROTOCOL_MESSAGES, "d {'content':' <thx'}\nf stop\nDONE",
      "<textt( )t(<th)t(x)>=end_turn" ZERO, NULL, "chat.think_tags", "yes" },
};

static void test_to_messages(void **state)
{
    (void)state;
    digest_cases(PROTOCOL_CHAT, to_messages, ARRAY_LEN(to_messages));
}

#undef CASE
#define CASE(goal, lines, want)                            \
    {                                                      \
        goal, PROTOCOL_CHAT, lines, want, NULL, NULL, NULL \
    }

/* The same protocol on both sides, as when an upstream never streams. */
static const struct reply_case to_chat[] = {
    CASE("worked example", WORKED,
         "^r(hm)c(Hi)t0:f:call_at0({\"x\")t1:g:call_bt1({)t0(:1})t1(})=tool_calls"
         "[100/20/80/0/0]."),
    CASE("pieces of reasoning_details become whole ones",
         "d {'reasoning':'a','reasoning_details':[{'type':'reasoning.text','text':'a','index':0,"
         "'format':'x'}]}\n"
         "d {'reasoning':'b','reasoning_details':[{'type':'reasoning.text','text':'b','index':0,"
         "'format':'x'}]}\n"
         "d {'reasoning_details':[{'type':'reasoning.text','signature':'S','index':0}]}\n"
         "d {'reasoning_details':[{'type':'reasoning.encrypted','data':'D','index':1}]}\n"
         "d {'content':'c'}\nf stop\nDONE",
         "^r(a)r(b)d([{\"type\":\"reasoning.text\",\"text\":\"ab\",\"signature\":\"S\",\"index\":0,"
         "\"format\":\"x\"},{\"type\":\"reasoning.encrypted\",\"data\":\"D\",\"index\":1}])c(c)"
         "=stop."),
    CASE("a call without an id begins when another one does",
         START "d {'tool_calls':[{'index':0,'function':{'name':'f','arguments':'{}'}}]}\n" CALL(
             "1", "b", "g", "{}") "f tool_calls\nDONE",
         "^t0:f:call_b6f63f27d045da38e4332e9a"
         "t0({})t1:g:bt1({})=tool_calls."),
    CASE("function_call for a client that knows tools",
         START "d {'function_call':{'name':'f','arguments':'{}'}}\nf function_call\nDONE",
         "^t0:f:call_b6f63f27d045da38e4332e9at0({})=tool_calls."),
    CASE("an error chunk, no [DONE]", START "d {'content':'a'}\n{'error':{'message':'m'}}\nDONE",
         "^c(a)!upstream_error:m"),
    CASE("citations",
         START "d {'content':'abc','annotations':[{'type':'url_citation','url_citation'"
               ":{'url':'u','title':'t','start_index':1,'end_index':3}}]}\nf stop\nDONE",
         "^c(abc)n([{\"type\":\"url_citation\",\"url_citation\":{\"url\":\"u\",\"title\":\"t\","
         "\"start_index\":1,\"end_index\":3}}])=stop."),
};

static void test_to_chat(void **state)
{
    (void)state;
    digest_cases(PROTOCOL_CHAT, to_chat, ARRAY_LEN(to_chat));
}

static void test_every_split(void **state)
{
    (void)state;
    digest_every_split(PROTOCOL_CHAT, PROTOCOL_MESSAGES, WORKED);
    digest_every_split(PROTOCOL_CHAT, PROTOCOL_CHAT, WORKED);
}

/* C3.3: thinking, text, calls; arguments become objects (C1.7). */
static void test_whole(void **state)
{
    (void)state;
    digest_whole(
        PROTOCOL_CHAT, PROTOCOL_MESSAGES,
        "{'id':'chatcmpl-9','created':5,'model':'m','choices':[{'index':0,'message':{'role':"
        "'assistant','content':'Hi','reasoning_content':'hm','tool_calls':[{'id':'a','type':"
        "'function','function':{'name':'f','arguments':'{\\'n\\':12345678901234567890}'}},"
        "{'id':'b','type':'function','function':{'name':'g','arguments':'{\\'a\\':'}}]},"
        "'finish_reason':'tool_calls'}],'usage':{'prompt_tokens':100,'completion_tokens':7,"
        "'prompt_tokens_details':{'cached_tokens':80,'cache_write_tokens':10},"
        "'completion_tokens_details':{'reasoning_tokens':3}}}",
        "{'id':'msg_9','type':'message','role':'assistant','model':'m','content':[{'type':"
        "'thinking','thinking':'hm','signature':'ccp1.c.eyJ1IjoidTEiLCJtIjoibSJ9'},{'type':'text',"
        "'text':'Hi'},{'type':'tool_use','id':'a','name':'f','input':{'n':12345678901234567890}},"
        "{'type':'tool_use','id':'b','name':'g','input':{'__ccp_raw_arguments':'{\\'a\\':'}}],"
        "'stop_reason':'tool_use','stop_sequence':null,'stop_details':null,'usage':"
        "{'input_tokens':10,'cache_creation_input_tokens':10,'cache_read_input_tokens':80,"
        "'output_tokens':7,'output_tokens_details':{'thinking_tokens':3}}}");
}

static void test_whole_refusal(void **state)
{
    (void)state;
    digest_whole(PROTOCOL_CHAT, PROTOCOL_MESSAGES,
                 "{'id':'x','model':'m','choices':[{'index':0,'message':{'content':null,"
                 "'refusal':'no'},'finish_reason':'stop'}]}",
                 "{'id':'msg_x','type':'message','role':'assistant','model':'m','content':[{'type':"
                 "'text','text':'no'}],'stop_reason':'refusal','stop_sequence':null,'stop_details':"
                 "{'type':'refusal','category':null,'explanation':'no'},'usage':{'input_tokens':0,"
                 "'cache_creation_input_tokens':0,'cache_read_input_tokens':0,'output_tokens':0}}");
}

/* A reply without choices is an error of the upstream. */
static void test_no_choices(void **state)
{
    (void)state;
    struct reply_run run = { .upstream = PROTOCOL_CHAT, .client = PROTOCOL_MESSAGES };
    run.whole = true;
    reply_run(&run, S("{\"id\":\"x\",\"choices\":[]}"));
    assert_true(run.rc < 0);
    assert_int_equal(run.failure.status, 502);
    assert_int_equal(buf_len(&run.out), 0);
    buf_done(&run.out);
}

/* What waits behind an open block is bounded. */
static void test_limit(void **state)
{
    (void)state;
    struct buf in;
    buf_init(&in, SIZE_MAX);
    digest_upstream(&in, PROTOCOL_CHAT, START CALL("0", "a", "f", "{") CALL("1", "b", "g", "{"));
    for (int i = 0; i < 100; i++)
        digest_upstream(&in, PROTOCOL_CHAT, MORE("1", "            "));
    struct reply_run run = { .upstream = PROTOCOL_CHAT, .client = PROTOCOL_MESSAGES };
    run.limit_bytes = 500;
    reply_run(&run, buf_str(&in));
    assert_true(str_contains(buf_str(&run.out), S("event: error")));
    assert_true(run.ended);
    buf_done(&run.out);
    buf_done(&in);
}

/* Goal: the entries of one item share the piece's number (C8.2). */
static void test_details_of_an_item(void **state)
{
    (void)state;
    const struct chat_proof proof = {
        .kind = CHAT_PROOF_ITEM,
        .raw =
            S_INIT("{\"id\":\"rs_1\",\"summary\":[{\"text\":\"a\"}],\"encrypted_content\":\"X\"}"),
    };
    struct json_out o;
    struct buf out;
    buf_init(&out, SIZE_MAX);
    json_out_init(&o, &out);
    json_out_array(&o);
    completions_write_details(&o, &arena, &proof, 3);
    json_out_array_end(&o);
    assert_str(buf_str(&out),
               S("[{\"type\":\"reasoning.summary\",\"summary\":\"a\",\"id\":\"rs_1\","
                 "\"format\":\"openai-responses-v1\",\"index\":3},"
                 "{\"type\":\"reasoning.encrypted\",\"data\":\"X\",\"id\":\"rs_1\","
                 "\"format\":\"openai-responses-v1\",\"index\":3}]"));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to_messages),
        cmocka_unit_test(test_to_chat),
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_whole_refusal),
        cmocka_unit_test(test_no_choices),
        cmocka_unit_test(test_limit),
        cmocka_unit_test_setup_teardown(test_details_of_an_item, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
