// whole.cpp - the whole plugin in the printing Verlihub: every event it raises, every function it
// calls. What comes out is compared with expected.txt.
//
//     whole FOLDER      with whole.py in FOLDER/scripts
#include "printing_hub.h"

#include <cstring>
#include <memory>

using namespace nVerliHub;
using namespace nVerliHub::nEnums;
using nPlugin::cVHPlugin;
using nProtocol::cMessageDC;
using nSocket::cConnDC;

extern "C" nPlugin::cPluginBase *get_plugin();
extern "C" void del_plugin(nPlugin::cPluginBase *plugin);

namespace {

struct Client {
    cUser user;
    cConnDC conn;

    Client(const std::string &nick, tUserCl rank, const std::string &ip) : user()
    {
        user.mNick = nick;
        user.mClass = rank;
        user.mInList = true;
        user.mxConn = &conn;
        conn.mpUser = &user;
        user.mFakeMyINFO = "$MyINFO $ALL " + nick + " desc<++ V:1>$ $100\x01$mail$7$";
        user.mNickHash = fake::server.mUserList.Nick2Hash(nick);
        conn.fake_ip = ip;
        conn.mHubURL = "dchub://" + nick;
        conn.mMyNick = "my" + nick;
        fake::server.mUserList.fake_users[nick] = &user;
    }
};

void title(const std::string &text)
{
    fake::print("");
    fake::print("== " + text);
}

void gives(const char *what, bool go_on)
{
    fake::print(std::string(what) + (go_on ? " -> goes on" : " -> STOPS"));
}

// What the script's hooks return from here on: an expression.
void answer(const std::string &expression)
{
    fake::settings["conf.answer"] = expression;
}

cMessageDC message(const std::string &text, std::map<unsigned, std::string> parts = {}, int type = 0)
{
    cMessageDC made;
    made.mStr = text;
    made.fake_parts = std::move(parts);
    made.mType = type;
    if (made.fake_parts.empty())
        made.SplitChunks();
    return made;
}

struct Hub {
    Client op{"op", tUserCl(3), "1.1.1.1"}, user{"user", tUserCl(1), "2.2.2.2"};
    cUserRobot bot = cUserRobot(), op_chat = cUserRobot();
    nTables::cBanList bans;
    cMaxMindDB places;
    cVHPlugin &plugin;

    explicit Hub(const std::string &folder) : plugin(*static_cast<cVHPlugin *>(get_plugin()))
    {
        fake::plugin = &plugin;
        auto &server = fake::server;
        server.mConfigBaseDir = folder;
        server.mDBConf.config_name = "conf";
        server.mC.hub_security = "Security";
        server.mC.opchat_name = "OpChat";
        server.mC.hub_encoding = "utf-8";
        server.mC.hub_name = "Hub";
        server.mC.plugin_mod_class = 5;
        server.mC.delayed_myinfo = true;
        server.mStepDelay = 50;
        server.mBanList = &bans;
        server.mMaxMindDB = &places;
        server.mOpChat = &op_chat;
        server.mUserCountTot = 2;
        server.mTotalShare = 12345678901ULL;
        server.mUserList.fake_name = "NickList";
        server.mOpList.fake_name = "OpList";
        server.mRobotList.fake_name = "BotList";
        server.mOpchatList.fake_name = "OpChatList";
        bot.mNick = "Security";
        server.mUserList.fake_users["security"] = server.mRobotList.fake_users["security"] = &bot;
        server.mOpList.fake_users["op"] = server.mOpchatList.fake_users["op"] = &op.user;
        fake::settings["config.hub_version"] = "1.7";
        // A busy machine must not miss it.
        fake::settings["pi_python.hook_timeout"] = "60";
    }

    // Has the script evaluate this, while nothing is in use that a function changes.
    void ask(const std::string &expression)
    {
        answer(expression);
        plugin.OnTimer(2000);
        answer("None");
    }

    void events();
    void rewritten();
    void operators_chat();
};

// Every event with arguments that tell each other apart.
void Hub::events()
{
    cConnDC *at = &user.conn;
    std::string a = "aa", b = "bb", c = "cc", d = "dd";
    cMessageDC plain = message("whole");
    auto parts = [](std::map<unsigned, std::string> parts) { return message("whole", std::move(parts)); };
    gives("OnNewConn", plugin.OnNewConn(at));
    gives("OnCloseConn", plugin.OnCloseConn(at));
    user.conn.mCloseReason = 7;
    gives("OnCloseConnEx", plugin.OnCloseConnEx(at));
    user.conn.mpUser = nullptr;
    gives("OnCloseConnEx", plugin.OnCloseConnEx(at));
    gives("OnParsedMsgAnyEx", plugin.OnParsedMsgAnyEx(at, &plain));
    user.conn.mpUser = &user.user;
    cMessageDC chat = parts({{eCH_CH_MSG, "text"}});
    gives("OnParsedMsgChat", plugin.OnParsedMsgChat(at, &chat));
    cMessageDC pm = parts({{eCH_PM_MSG, "text"}, {eCH_PM_TO, "op"}});
    gives("OnParsedMsgPM", plugin.OnParsedMsgPM(at, &pm));
    cMessageDC mcto = parts({{eCH_MCTO_MSG, "text"}, {eCH_MCTO_TO, "op"}});
    gives("OnParsedMsgMCTo", plugin.OnParsedMsgMCTo(at, &mcto));
    for (const int type : {eDC_SEARCH, eDC_SEARCH_PAS, eDC_TTHS, eDC_TTHS_PAS}) {
        cMessageDC search = message("whole", {{eCH_SA_ADDR, "1.2.3.4:5"}, {eCH_SA_TTH, "ATTH"}, {eCH_SP_NICK, "user"},
                                              {eCH_SP_TTH, "PTTH"}}, type);
        gives("OnParsedMsgSearch", plugin.OnParsedMsgSearch(at, &search));
    }
    gives("OnParsedMsgSR", plugin.OnParsedMsgSR(at, &plain));
    cMessageDC info = message("$MyINFO $ALL user desc<tag>$ $fast\x01$mail$99$");
    gives("OnFirstMyINFO", plugin.OnFirstMyINFO(at, &info));
    gives("OnParsedMsgMyINFO", plugin.OnParsedMsgMyINFO(at, &info));
    gives("OnParsedMsgValidateNick", plugin.OnParsedMsgValidateNick(at, &plain));
    gives("OnParsedMsgAny", plugin.OnParsedMsgAny(at, &plain));
    gives("OnOpChatMessage", plugin.OnOpChatMessage(&a, &b));
    gives("OnPublicBotMessage", plugin.OnPublicBotMessage(&a, &b, 1, 2));
    gives("OnCtmToHub", plugin.OnCtmToHub(at, &a));
    gives("OnParsedMsgSupports", plugin.OnParsedMsgSupports(at, &plain, &a));
    gives("OnParsedMsgMyHubURL", plugin.OnParsedMsgMyHubURL(at, &plain));
    gives("OnParsedMsgExtJSON", plugin.OnParsedMsgExtJSON(at, &plain));
    gives("OnParsedMsgBotINFO", plugin.OnParsedMsgBotINFO(at, &plain));
    gives("OnParsedMsgVersion", plugin.OnParsedMsgVersion(at, &plain));
    cMessageDC pass = parts({{eCH_1_PARAM, "secret"}});
    gives("OnParsedMsgMyPass", plugin.OnParsedMsgMyPass(at, &pass));
    cMessageDC ctm = parts({{eCH_CM_NICK, "op"}, {eCH_CM_IP, "9.9.9.9"}, {eCH_CM_PORT, "99"}});
    gives("OnParsedMsgConnectToMe", plugin.OnParsedMsgConnectToMe(at, &ctm));
    cMessageDC rctm = parts({{eCH_RC_OTHER, "op"}});
    gives("OnParsedMsgRevConnectToMe", plugin.OnParsedMsgRevConnectToMe(at, &rctm));
    gives("OnUnknownMsg", plugin.OnUnknownMsg(at, &plain));
    gives("OnOperatorCommand", plugin.OnOperatorCommand(&op.conn, &a));
    gives("OnUserCommand", plugin.OnUserCommand(at, &a));
    std::string command = "!aa bb";
    gives("OnHubCommand", plugin.OnHubCommand(at, &command, 0, 1));
    gives("OnOperatorKicks", plugin.OnOperatorKicks(&op.user, &user.user, &a));
    gives("OnOperatorDrops", plugin.OnOperatorDrops(&op.user, &user.user, &a));
    gives("OnOperatorDrops", plugin.OnOperatorDrops(&op.user, &user.user, nullptr));
    cDCTag tag{"<tag>"};
    gives("OnValidateTag", plugin.OnValidateTag(at, &tag));
    gives("OnScriptCommand", plugin.OnScriptCommand(&a, &b, &c, &d));
    gives("OnUserInList", plugin.OnUserInList(&user.user));
    gives("OnUserLogin", plugin.OnUserLogin(&user.user));
    gives("OnUserLogout", plugin.OnUserLogout(&user.user));
    gives("OnTimer", plugin.OnTimer(1500));
    gives("OnNewReg", plugin.OnNewReg(&op.user, "new", 2));
    nTables::cBan ban(&fake::server);
    ban.mNickOp = "op", ban.mIP = "3.3.3.3", ban.mNick = "banned", ban.mReason = "why";
    gives("OnNewBan", plugin.OnNewBan(&op.user, &ban));
    gives("OnSetConfig", plugin.OnSetConfig(&op.user, &a, &b, &c, &d, 3));
    gives("OnSetConfig", plugin.OnSetConfig(nullptr, &a, &b, &c, &d, 3));
}

// Answers that replace what the hub treats.
void Hub::rewritten()
{
    answer("('other', 'changed')");
    cMessageDC chat = message("whole", {{eCH_CH_MSG, "text"}});
    gives("OnParsedMsgChat", plugin.OnParsedMsgChat(&user.conn, &chat));
    fake::print("the message is " + chat.mStr);
    answer("('<Bot> told', 1)");
    gives("OnParsedMsgChat", plugin.OnParsedMsgChat(&user.conn, &chat));

    answer("('D', '<T>', None, '', '12') if name == 'OnFirstMyINFO' else None");
    cMessageDC first = message("$MyINFO $ALL user desc<tag>$ $fast\x01$mail$99$");
    gives("OnFirstMyINFO", plugin.OnFirstMyINFO(&user.conn, &first));
    fake::print("the message is " + first.mStr);
    user.conn.mProtoFloodCounts[ePF_MYINFO] = 5;
    gives("OnParsedMsgMyINFO", plugin.OnParsedMsgMyINFO(&user.conn, &first));
    fake::print("counted " + std::to_string(user.conn.mProtoFloodCounts[ePF_MYINFO]));

    answer("(None, None, '', 'm', 'many') if name == 'OnParsedMsgMyINFO' else None");
    cMessageDC later = message("$MyINFO $ALL user desc$ $fast\x01$mail$99$");
    gives("OnParsedMsgMyINFO", plugin.OnParsedMsgMyINFO(&user.conn, &later));
    fake::print("the message is " + later.mStr);
    answer("None");
    gives("OnParsedMsgMyINFO", plugin.OnParsedMsgMyINFO(&user.conn, &later));
}

// The hub raises the event of the operators' chat a second time; scripts hear of it once.
void Hub::operators_chat()
{
    std::string nick = "op", text = "text", other = "other";
    cMessageDC pm = message("whole", {{eCH_PM_MSG, text}, {eCH_PM_TO, "OpChat"}});
    gives("OnParsedMsgPM", plugin.OnParsedMsgPM(&op.conn, &pm));
    gives("OnOpChatMessage", plugin.OnOpChatMessage(&nick, &text));
    gives("OnOpChatMessage", plugin.OnOpChatMessage(&nick, &text));
    fake::print("one who is no operator");
    gives("OnParsedMsgPM", plugin.OnParsedMsgPM(&user.conn, &pm));
    fake::print("another text");
    gives("OnParsedMsgPM", plugin.OnParsedMsgPM(&op.conn, &pm));
    gives("OnOpChatMessage", plugin.OnOpChatMessage(&nick, &other));
}

} // namespace

int main(int, char **args)
{
    const std::string folder = args[1];
    Hub hub(folder);
    cVHPlugin &plugin = hub.plugin;

    title("built for another Verlihub");
    fake::settings["config.hub_version"] = "1.6";
    plugin.OnLoad(&fake::server);
    gives("OnNewConn", plugin.OnNewConn(&hub.user.conn));
    gives("IsScriptLoaded", plugin.IsScriptLoaded("whole"));
    fake::settings["config.hub_version"] = "1.7";
    title("RegisterAll");
    plugin.RegisterAll();
    title("OnLoad");
    plugin.OnLoad(&fake::server);
    fake::print("step delay " + std::to_string(fake::server.mStepDelay));
    title("every event");
    hub.events();
    title("every event, blocked");
    answer("0");
    hub.events();
    title("one of two blocks");
    for (const char *hook : {"OnOperatorDrops", "OnOperatorDropsWithReason"}) {
        std::string why = "why";
        answer(std::string("name != '") + hook + "'");
        gives("OnOperatorDrops", plugin.OnOperatorDrops(&hub.op.user, &hub.user.user, &why));
    }
    answer("None");
    title("replaced");
    hub.rewritten();
    title("the operators' chat");
    hub.operators_chat();

    title("every function");
    hub.ask("call(FUNCTIONS)");
    const cUser &user = hub.user.user;
    for (const long number : {user.mGag, user.mNoPM, user.mNoSearch, user.mNoCTM, long(user.mMyFlag)})
        fake::print("left " + std::to_string(number));
    title("every function, where the hub has other settings");
    fake::server.mOpChat = nullptr;
    fake::server.mUseDNS = true;
    fake::server.mC.myinfo_tls_filter = true;
    hub.user.user.mMyFlag = eMF_TLS;
    hub.ask("call(OTHERWISE)");
    hub.user.user.mProtectFrom = 9;
    hub.user.user.mInList = false;
    hub.user.conn.mCloseReason = 0;
    hub.ask("call(REFUSED)");
    fake::print("redirected to " + hub.user.conn.mCloseRedirect);
    title("what waits is done when the hub polls");
    std::string command = "wait";
    answer("call(WAITING)");
    plugin.OnUserCommand(&hub.op.conn, &command);
    answer("None");
    fake::print("polls");
    fake::polled->Accept(0, 0);

    title("scripts and the console");
    std::ostringstream said;
    const std::string script = folder + "/scripts/whole.py";
    gives("IsScriptLoaded", plugin.IsScriptLoaded(script));
    gives("AddScript", plugin.AddScript(script, said));
    gives("UnLoadScript", plugin.UnLoadScript(folder + "/scripts/none.py"));
    for (const tUserCl rank : {tUserCl(2), tUserCl(4), tUserCl(5)}) {
        hub.op.user.mClass = rank;
        std::string line = "!pylog 9";
        gives("OnHubCommand", plugin.OnHubCommand(&hub.op.conn, &line, 0, rank == 5));
    }
    std::string security = "_hub_security_change", name = "Guard", none;
    plugin.OnScriptCommand(&security, &name, &none, &none);
    const std::string names = "say(f'{vh.botname} {vh.opchatname}')";
    answer(names);
    plugin.OnNewConn(&hub.user.conn);
    fake::server.mC.opchat_name = "Room";
    hub.ask(names);
    gives("UnLoadScript", plugin.UnLoadScript(script));
    gives("IsScriptLoaded", plugin.IsScriptLoaded(script));
    gives("AddScript", plugin.AddScript(script, said));

    title("the end");
    gives("OnUnLoad", plugin.OnUnLoad(9));
    gives("OnUnLoad", plugin.OnUnLoad(3));
    gives("OnNewConn", plugin.OnNewConn(&hub.user.conn));
    del_plugin(&plugin);
    fake::print("step delay " + std::to_string(fake::server.mStepDelay));
}
