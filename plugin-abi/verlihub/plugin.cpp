// plugin.cpp - the plugin that Verlihub loads: every callback takes its event's texts out of
// the hub's objects and hands them to the scripts.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#include <algorithm>
#include <memory>
#include <mutex>

#include "scripts.h"
#include "server.h"
#include "waker.h"

#ifndef VERLIHUB_VERSION
#define VERLIHUB_VERSION ""
#endif

namespace vhpy_verlihub {

using namespace nVerliHub;
using namespace nVerliHub::nEnums;
using namespace nVerliHub::nSocket;
using nVerliHub::nPlugin::cVHPlugin;
using nVerliHub::nProtocol::cMessageDC;
using nVerliHub::nTables::cBan;

namespace {

const char *const CALLBACKS[] = {
    "VH_OnNewConn",           "VH_OnCloseConn",          "VH_OnCloseConnEx",      "VH_OnParsedMsgChat",
    "VH_OnParsedMsgPM",       "VH_OnParsedMsgMCTo",      "VH_OnParsedMsgSearch",  "VH_OnParsedMsgSR",
    "VH_OnParsedMsgMyINFO",   "VH_OnFirstMyINFO",        "VH_OnParsedMsgValidateNick", "VH_OnParsedMsgAny",
    "VH_OnParsedMsgAnyEx",    "VH_OnOpChatMessage",      "VH_OnPublicBotMessage", "VH_OnUnLoad",
    "VH_OnCtmToHub",          "VH_OnParsedMsgSupports",  "VH_OnParsedMsgMyHubURL", "VH_OnParsedMsgExtJSON",
    "VH_OnParsedMsgBotINFO",  "VH_OnParsedMsgVersion",   "VH_OnParsedMsgMyPass",  "VH_OnParsedMsgConnectToMe",
    "VH_OnParsedMsgRevConnectToMe", "VH_OnUnknownMsg",   "VH_OnOperatorCommand",  "VH_OnOperatorKicks",
    "VH_OnOperatorDrops",     "VH_OnValidateTag",        "VH_OnUserCommand",      "VH_OnHubCommand",
    "VH_OnScriptCommand",     "VH_OnUserInList",         "VH_OnUserLogin",        "VH_OnUserLogout",
    "VH_OnTimer",             "VH_OnNewReg",             "VH_OnNewBan",           "VH_OnSetConfig",
};

const std::string NOBODY;

const std::string &nick_of(const cConnDC *conn)
{
    return conn->mpUser->mNick;
}

} // namespace

class Plugin final : public cVHPlugin {
public:
    Plugin()
    {
        mName = "Python"; // what !plugout and !plugreload call it
        mVersion = vhpy_version();
    }

    // !plugout and its kind only destroy us.
    ~Plugin() override
    {
        waker_.reset();
        if (scripts_)
            scripts_->end(0);
    }

    bool RegisterAll() override
    {
        for (const char *name : CALLBACKS)
            RegisterCallBack(name);
        return true;
    }

    void OnLoad(cServerDC *server) override;

    bool OnNewConn(cConnDC *conn) override { return from_ip(W_OnNewConn, conn); }

    bool OnCloseConn(cConnDC *conn) override { return from_ip(W_OnCloseConn, conn); }

    bool OnCloseConnEx(cConnDC *conn) override
    {
        if (!wants(W_OnCloseConnEx) || !conn)
            return true;
        const std::string &nick = conn->mpUser ? nick_of(conn) : NOBODY;
        return raise(W_OnCloseConnEx, nullptr, conn->AddrIP(), long(conn->mCloseReason), nick);
    }

    bool OnParsedMsgChat(cConnDC *conn, cMessageDC *msg) override;

    bool OnParsedMsgPM(cConnDC *conn, cMessageDC *msg) override
    {
        if (!of_user(conn, msg))
            return true;
        const bool go_on = from_chunks(W_OnParsedMsgPM, conn, msg, eCH_PM_MSG, eCH_PM_TO);
        if (!go_on || !wants(W_OnOpChatMessage) || msg->ChunkString(eCH_PM_TO) != mServer->mC.opchat_name ||
            !mServer->mOpchatList.ContainsHash(conn->mpUser->mNickHash))
            return go_on;
        // The hub raises OnOpChatMessage when it has sent the message; here it can be dropped.
        op_chat_asked_ = raise(W_OnOpChatMessage, conn, nick_of(conn), msg->ChunkString(eCH_PM_MSG));
        if (op_chat_asked_)
            op_chat_text_ = msg->ChunkString(eCH_PM_MSG);
        return op_chat_asked_;
    }

    bool OnParsedMsgMCTo(cConnDC *conn, cMessageDC *msg) override
    {
        return from_chunks(W_OnParsedMsgMCTo, conn, msg, eCH_MCTO_MSG, eCH_MCTO_TO);
    }

    bool OnParsedMsgSearch(cConnDC *conn, cMessageDC *msg) override;

    bool OnParsedMsgSR(cConnDC *conn, cMessageDC *msg) override { return whole(W_OnParsedMsgSR, conn, msg); }

    bool OnParsedMsgMyINFO(cConnDC *conn, cMessageDC *msg) override;

    bool OnFirstMyINFO(cConnDC *conn, cMessageDC *msg) override;

    bool OnParsedMsgValidateNick(cConnDC *conn, cMessageDC *msg) override
    {
        if (!wants(W_OnParsedMsgValidateNick) || !conn || !msg)
            return true;
        return raise(W_OnParsedMsgValidateNick, conn, msg->mStr);
    }

    bool OnParsedMsgAny(cConnDC *conn, cMessageDC *msg) override
    {
        // A ping is an empty message.
        if (again_ || !msg || msg->mStr.empty())
            return true;
        if (scripts_ && conn && conn->mpUser && conn->mpUser->mInList && scripts_->is_leaving(nick_of(conn)))
            return false;
        return whole(W_OnParsedMsgAny, conn, msg);
    }

    bool OnParsedMsgAnyEx(cConnDC *conn, cMessageDC *msg) override
    {
        return !msg || msg->mStr.empty() || whole_by_ip(W_OnParsedMsgAnyEx, conn, msg);
    }

    bool OnOpChatMessage(string *nick, string *data) override
    {
        if (op_chat_asked_ && data && *data == op_chat_text_) {
            op_chat_asked_ = false;
            return true;
        }
        return !nick || !data || raise(W_OnOpChatMessage, nullptr, *nick, *data);
    }

    bool OnPublicBotMessage(string *nick, string *data, int min, int max) override
    {
        return !nick || !data || raise(W_OnPublicBotMessage, nullptr, *nick, *data, long(min), long(max));
    }

    // Code 9 comes out of the handler of a crash: no lock, no memory, no waiting there. The
    // workers die with the hub.
    bool OnUnLoad(long code) override
    {
        if (scripts_ && code != 9)
            scripts_->end(code);
        return true;
    }

    bool OnCtmToHub(cConnDC *conn, string *ref) override
    {
        if (!wants(W_OnCtmToHub) || !conn || !ref)
            return true;
        return raise(W_OnCtmToHub, conn, conn->mMyNick, conn->AddrIP(), long(conn->AddrPort()),
                     long(conn->GetServPort()), *ref);
    }

    bool OnParsedMsgSupports(cConnDC *conn, cMessageDC *msg, string *back) override
    {
        if (!wants(W_OnParsedMsgSupports) || !conn || !msg || !back)
            return true;
        return raise(W_OnParsedMsgSupports, conn, conn->AddrIP(), msg->mStr, *back);
    }

    bool OnParsedMsgMyHubURL(cConnDC *conn, cMessageDC *msg) override
    {
        return whole(W_OnParsedMsgMyHubURL, conn, msg);
    }

    bool OnParsedMsgExtJSON(cConnDC *conn, cMessageDC *msg) override
    {
        return whole(W_OnParsedMsgExtJSON, conn, msg);
    }

    bool OnParsedMsgBotINFO(cConnDC *conn, cMessageDC *msg) override
    {
        return whole(W_OnParsedMsgBotINFO, conn, msg);
    }

    bool OnParsedMsgVersion(cConnDC *conn, cMessageDC *msg) override
    {
        return whole_by_ip(W_OnParsedMsgVersion, conn, msg);
    }

    bool OnParsedMsgMyPass(cConnDC *conn, cMessageDC *msg) override
    {
        return from_chunks(W_OnParsedMsgMyPass, conn, msg, eCH_1_PARAM);
    }

    bool OnParsedMsgConnectToMe(cConnDC *conn, cMessageDC *msg) override
    {
        return from_chunks(W_OnParsedMsgConnectToMe, conn, msg, eCH_CM_NICK, eCH_CM_IP, eCH_CM_PORT);
    }

    bool OnParsedMsgRevConnectToMe(cConnDC *conn, cMessageDC *msg) override
    {
        return from_chunks(W_OnParsedMsgRevConnectToMe, conn, msg, eCH_RC_OTHER);
    }

    bool OnUnknownMsg(cConnDC *conn, cMessageDC *msg) override
    {
        if (!of_user(conn, msg) || !conn->mpUser->mInList || msg->mStr.empty())
            return true;
        return whole(W_OnUnknownMsg, conn, msg);
    }

    bool OnOperatorCommand(cConnDC *conn, string *command) override
    {
        return !conn || !conn->mpUser || !command ||
               raise(W_OnOperatorCommand, conn, nick_of(conn), std::string(*command));
    }

    bool OnUserCommand(cConnDC *conn, string *command) override
    {
        return !conn || !conn->mpUser || !command ||
               raise(W_OnUserCommand, conn, nick_of(conn), std::string(*command));
    }

    bool OnHubCommand(cConnDC *conn, string *command, int, int in_pm) override
    {
        if (!scripts_ || !conn || !conn->mpUser || !command)
            return true;
        const std::string nick = nick_of(conn), line = *command;
        return scripts_->command({conn, nick, line, long(conn->mpUser->mClass), in_pm != 0},
                                 long(mServer->mC.plugin_mod_class));
    }

    bool OnOperatorKicks(cUser *op, cUser *user, string *why) override
    {
        return !op || !user || !why || raise(W_OnOperatorKicks, op->mxConn, op->mNick, user->mNick, *why);
    }

    bool OnOperatorDrops(cUser *op, cUser *user, string *why) override
    {
        if (!op || !user)
            return true;
        const std::string reason = why ? *why : NOBODY;
        const bool dropped = raise(W_OnOperatorDrops, op->mxConn, op->mNick, user->mNick);
        return raise(W_OnOperatorDropsWithReason, op->mxConn, op->mNick, user->mNick, reason) && dropped;
    }

    bool OnValidateTag(cConnDC *conn, cDCTag *tag) override
    {
        return again_ || !conn || !conn->mpUser || !tag || raise(W_OnValidateTag, conn, nick_of(conn), tag->mTag);
    }

    bool OnScriptCommand(string *command, string *data, string *plug, string *script) override
    {
        if (scripts_ && command && data && plug && script)
            scripts_->script_command(std::string(*command), std::string(*data), std::string(*plug),
                                     std::string(*script));
        return true;
    }

    bool OnUserInList(cUser *user) override { return of_list(W_OnUserInList, user); }

    bool OnUserLogin(cUser *user) override
    {
        const bool go_on = of_list(W_OnUserLogin, user);
        if (go_on && scripts_ && user && user->mxConn)
            scripts_->greet(user->mxConn, long(user->mClass));
        return go_on;
    }

    bool OnUserLogout(cUser *user) override { return of_list(W_OnUserLogout, user); }

    bool OnTimer(long long milliseconds) override
    {
        if (scripts_ && !scripts_->inside())
            hub_->forget_script_commands();
        if (waker_)
            waker_->hub_ticked();
        if (scripts_)
            scripts_->tick(double(milliseconds) / 1000.0);
        return true;
    }

    bool OnNewReg(cUser *op, string nick, int rank) override
    {
        return !op || raise(W_OnNewReg, op->mxConn, op->mNick, nick, long(rank));
    }

    bool OnNewBan(cUser *op, cBan *ban) override
    {
        return !op || !ban || raise(W_OnNewBan, op->mxConn, ban->mNickOp, ban->mIP, ban->mNick, ban->mReason);
    }

    bool OnSetConfig(cUser *user, string *file, string *variable, string *value, string *old, int type) override
    {
        if (!scripts_ || !file || !variable || !value || !old)
            return true;
        const std::string nick = user ? user->mNick : mServer->mC.hub_security;
        return scripts_->set_config(user ? user->mxConn : nullptr, nick, std::string(*file), std::string(*variable),
                                    std::string(*value), std::string(*old), type);
    }

    // Plugman can treat scripts as plugins of their own.
    bool SupportsMultipleScripts() override { return true; }

    bool AddScript(const string &file, ostream &os) override
    {
        const bool done = scripts_ && scripts_->load(file) >= 0;
        if (!done)
            os << vhpy_last_error();
        return done;
    }

    bool IsScriptLoaded(const string &file) override { return scripts_ && scripts_->is_loaded(file); }

    bool UnLoadScript(const string &file) override { return scripts_ && scripts_->unload(file); }

private:
    bool wants(int hook) const { return scripts_ && scripts_->wants(hook); }

    static bool of_user(const cConnDC *conn, const cMessageDC *msg) { return conn && msg && conn->mpUser; }

    template <class... A> bool raise(int hook, cConnDC *conn, const A &...args)
    {
        return !scripts_ || scripts_->raise(hook, conn, args...).go_on;
    }

    bool from_ip(int hook, cConnDC *conn) { return !wants(hook) || !conn || raise(hook, conn, conn->AddrIP()); }

    bool of_list(int hook, cUser *user) { return !user || raise(hook, user->mxConn, user->mNick); }

    bool whole(int hook, cConnDC *conn, cMessageDC *msg)
    {
        return !wants(hook) || !of_user(conn, msg) || raise(hook, conn, nick_of(conn), msg->mStr);
    }

    bool whole_by_ip(int hook, cConnDC *conn, cMessageDC *msg)
    {
        return !wants(hook) || !conn || !msg || raise(hook, conn, conn->AddrIP(), msg->mStr);
    }

    template <class... C> bool from_chunks(int hook, cConnDC *conn, cMessageDC *msg, C... chunk)
    {
        if (!wants(hook) || !of_user(conn, msg))
            return true;
        return raise(hook, conn, nick_of(conn), msg->ChunkString(static_cast<unsigned>(chunk))...);
    }

    Answer my_info(int hook, cConnDC *conn, const MyInfo &info)
    {
        return scripts_->raise(hook, conn, info[0], info[1], info[2], info[3], info[4], info[5]);
    }

    void replace_my_info(cConnDC *conn, cMessageDC *msg, const MyInfo &info, const Answer &answer);

    std::unique_ptr<Server> hub_;
    std::unique_ptr<Scripts> scripts_;
    std::unique_ptr<Waker> waker_;
    // The hub treats a MyINFO that we have rewritten: scripts have seen it.
    bool again_ = false;
    // Whose first MyINFO was rewritten and is to be treated again.
    const cConnDC *pending_ = nullptr;
    // Scripts have seen this message to the operators' chat, which the hub is about to send.
    bool op_chat_asked_ = false;
    std::string op_chat_text_;
};

// Without scripts_ every callback of this object does nothing: the hub has them in its lists
// already, and must not be made to delete us here.
void Plugin::OnLoad(cServerDC *server)
{
    cVHPlugin::OnLoad(server);
    try {
        char *version = nVerliHub::GetConfig("config", "hub_version", nullptr);
        const std::string runs = version ? version : VERLIHUB_VERSION, built = VERLIHUB_VERSION;
        free(version);
        if (runs != built) {
            cerr << "libpython_pi.so was built for Verlihub " << built << " and not for " << runs
                 << ": build it again (make verlihub-plugin). No Python script runs." << endl;
            return;
        }
        hub_ = std::make_unique<Server>(*server, *this);
        scripts_ = std::make_unique<Scripts>(*hub_);
        if (scripts_->begin())
            waker_ = std::make_unique<Waker>(*server, *hub_, *scripts_);
    } catch (...) {
        cerr << "libpython_pi.so could not start; no Python script runs" << endl;
    }
}

// ---------------------------------------------------------------- events that change messages

bool Plugin::OnParsedMsgChat(cConnDC *conn, cMessageDC *msg)
{
    if (!wants(W_OnParsedMsgChat) || !of_user(conn, msg))
        return true;
    const std::string nick = nick_of(conn), text = msg->ChunkString(eCH_CH_MSG);
    const Answer answer = scripts_->raise(W_OnParsedMsgChat, conn, nick, text);
    if (answer.go_on && answer.replaced) {
        std::string line;
        mServer->mP.Create_Chat(line, answer.part(0, nick), answer.part(1, text));
        rewrite(*msg, line);
    }
    return answer.go_on;
}

bool Plugin::OnParsedMsgSearch(cConnDC *conn, cMessageDC *msg)
{
    if (!wants(W_OnParsedMsgSearch) || !of_user(conn, msg))
        return true;
    std::string data;
    switch (msg->mType) {
    case eDC_SEARCH:
    case eDC_SEARCH_PAS:
        data = msg->mStr;
        break;
    case eDC_TTHS: // the short forms are shown as the long ones
        mServer->mP.Create_Search(data, msg->ChunkString(eCH_SA_ADDR), msg->ChunkString(eCH_SA_TTH), false);
        break;
    case eDC_TTHS_PAS:
        mServer->mP.Create_Search(data, msg->ChunkString(eCH_SP_NICK), msg->ChunkString(eCH_SP_TTH), true);
        break;
    default:
        return true;
    }
    return raise(W_OnParsedMsgSearch, conn, nick_of(conn), data);
}

bool Plugin::OnFirstMyINFO(cConnDC *conn, cMessageDC *msg)
{
    if (again_ || !wants(W_OnFirstMyINFO) || !of_user(conn, msg))
        return true;
    const std::optional<MyInfo> info = split_my_info(*msg);
    if (!info)
        return true;
    const Answer answer = my_info(W_OnFirstMyINFO, conn, *info);
    if (answer.go_on && answer.replaced) {
        replace_my_info(conn, msg, *info, answer);
        pending_ = conn; // OnParsedMsgMyINFO follows for the same message
    }
    return answer.go_on;
}

// The hub has copied parts of the message before it asks us, so changing the message is not
// enough: it is made to treat the changed one from the start, and to drop this one.
bool Plugin::OnParsedMsgMyINFO(cConnDC *conn, cMessageDC *msg)
{
    if (again_ || !of_user(conn, msg) || !scripts_)
        return true;
    const bool rewritten = pending_ == conn;
    if (!rewritten && !wants(W_OnParsedMsgMyINFO))
        return true;
    pending_ = nullptr;
    const std::optional<MyInfo> info = split_my_info(*msg);
    if (!info)
        return true;
    const Answer answer = my_info(W_OnParsedMsgMyINFO, conn, *info);
    if (!answer.go_on)
        return false;
    if (answer.replaced)
        replace_my_info(conn, msg, *info, answer);
    if (!answer.replaced && !rewritten)
        return true;
    again_ = true;
    if (conn->mProtoFloodCounts[ePF_MYINFO])
        conn->mProtoFloodCounts[ePF_MYINFO]--; // it would count twice
    mServer->mP.TreatMsg(msg, conn);
    again_ = false;
    if (conn->mpUser)
        mServer->mUserList.OnRemove(conn->mpUser); // only marks the cached lists for rebuilding
    return false;
}

void Plugin::replace_my_info(cConnDC *conn, cMessageDC *msg, const MyInfo &info, const Answer &answer)
{
    std::string speed = answer.part(2, info[3]), size = answer.part(4, info[5]), line;
    if (speed.empty())
        speed = "\x01";
    if (size.empty() || !std::all_of(size.begin(), size.end(), [](char c) { return c >= '0' && c <= '9'; }))
        size = info[5];
    mServer->mP.Create_MyINFO(line, nick_of(conn), answer.part(0, info[1]) + answer.part(1, info[2]), speed,
                              answer.part(3, info[4]), size);
    rewrite(*msg, line);
}

} // namespace vhpy_verlihub

#define EXPORTED __attribute__((visibility("default")))

extern "C" EXPORTED nVerliHub::nPlugin::cPluginBase *get_plugin()
{
    return new vhpy_verlihub::Plugin;
}

extern "C" EXPORTED void del_plugin(nVerliHub::nPlugin::cPluginBase *plugin)
{
    delete plugin;
}
