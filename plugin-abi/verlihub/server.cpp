// server.cpp - facts, messages and users: functions of scripts done with Verlihub's server object or its script
// interface, as its own Lua plugin does them.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#include "server.h"
#include "text.h"

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <sstream>

namespace vhpy_verlihub {

using namespace nVerliHub;
using namespace nVerliHub::nEnums;
using namespace nVerliHub::nSocket;
using nVerliHub::nProtocol::cMessageDC;

std::optional<MyInfo> split_my_info(cMessageDC &message)
{
    if (message.SplitChunks())
        return std::nullopt;
    MyInfo info;
    info[0] = message.ChunkString(eCH_MI_NICK);
    info[1] = message.ChunkString(eCH_MI_DESC);
    info[3] = message.ChunkString(eCH_MI_SPEED);
    info[4] = message.ChunkString(eCH_MI_MAIL);
    info[5] = message.ChunkString(eCH_MI_SIZE);
    std::string &desc = info[1];
    const size_t tag = desc.rfind('<');
    if (tag != std::string::npos && desc.back() == '>') {
        info[2] = desc.substr(tag);
        desc.erase(tag);
    }
    return info;
}

void rewrite(cMessageDC &message, const std::string &text)
{
    message.ReInit();
    message.mStr = text;
    message.Parse();
    message.SplitChunks();
}

// ---------------------------------------------------------------- facts

std::string Server::bot_name()
{
    return server_.mC.hub_security;
}

std::string Server::op_chat_name()
{
    return server_.mC.opchat_name;
}

std::string Server::config_folder()
{
    char whole[PATH_MAX];
    return realpath(server_.mConfigBaseDir.c_str(), whole) ? whole : server_.mConfigBaseDir;
}

std::string Server::config_name()
{
    return server_.mDBConf.config_name;
}

std::string Server::encoding()
{
    return server_.mC.hub_encoding.empty() ? "cp1252" : server_.mC.hub_encoding;
}

long Server::start_time()
{
    return server_.mStartTime.Sec();
}

// ---------------------------------------------------------------- for the adapter

// What the library logs was asked for; the hub's own level does not count.
void Server::log(int level, const std::string &line)
{
    if (level == 0 ? plugin_.ErrLog(0) : plugin_.Log(0))
        plugin_.LogStream() << line << endl;
}

void Server::send(Connection to, const std::string &data)
{
    std::string copy = data;
    static_cast<cConnDC *>(to)->Send(copy, false);
}

void Server::reply(Connection to, const std::string &text, bool in_pm)
{
    auto conn = static_cast<cConnDC *>(to);
    if (!conn || !conn->mpUser)
        return;
    if (in_pm)
        server_.DCPrivateHS(text, conn);
    else
        server_.DCPublicHS(text, conn);
}

// A reload of the configuration brings the hub's own value back, and may bring a new one.
void Server::set_step_delay(long milliseconds)
{
    if (own_delay_ < 0 || server_.mStepDelay != static_cast<unsigned>(own_delay_))
        configured_delay_ = server_.mStepDelay;
    own_delay_ = milliseconds;
    server_.mStepDelay = milliseconds < 0 ? configured_delay_ : static_cast<unsigned>(milliseconds);
}

std::optional<std::string> Server::nick_of(Connection connection)
{
    const cUser *user = static_cast<cConnDC *>(connection)->mpUser;
    return user ? std::optional(user->mNick) : std::nullopt;
}

bool Server::is_same_nick(const std::string &one, const char *other)
{
    return server_.mUserList.Nick2Hash(one) == server_.mUserList.Nick2Hash(other);
}

bool Server::is_online(const char *nick)
{
    return online(nick) != nullptr;
}

bool Server::is_robot(const char *nick)
{
    return given(nick) && plugin_.mRobots.ContainsNick(nick);
}

// As DCKickNick decides.
bool Server::may_kick(const char *op, const char *nick)
{
    cUser *by = user(op), *who = online(nick);
    return by && who && by != who && who->mClass + int(server_.mC.classdif_kick) <= by->mClass &&
           who->mProtectFrom < by->mClass && by->Can(eUR_KICK, server_.mTime.Sec());
}

bool Server::has_menus(Connection connection)
{
    return (static_cast<cConnDC *>(connection)->mFeatures & eSF_USERCOMMAND) != 0;
}

std::vector<std::pair<Connection, long>> Server::with_menus()
{
    std::vector<std::pair<Connection, long>> found;
    for (const std::string &nick : nicks()) {
        const cUser *who = online(nick.c_str());
        if (who && has_menus(who->mxConn))
            found.emplace_back(who->mxConn, long(who->mClass));
    }
    return found;
}

// ---------------------------------------------------------------- sending

cUser *Server::user(const char *nick)
{
    return given(nick) ? server_.mUserList.GetUserByNick(nick) : nullptr;
}

cUser *Server::online(const char *nick)
{
    cUser *found = user(nick);
    return found && found->mxConn ? found : nullptr;
}

std::string Server::name_or_bot(const char *name)
{
    return given(name) ? name : server_.mC.hub_security;
}

bool Server::send_to_op_chat(const char *message, const char *from)
{
    if (!message || !server_.mOpChat)
        return false;
    const std::string room = server_.mC.opchat_name;
    std::string start, end;
    server_.mP.Create_PMForBroadcast(start, end, room, given(from) ? from : room, said(message));
    server_.mOpchatList.SendToAllWithNick(start, end);
    return true;
}

bool Server::send_to_active(const char *data, long delay)
{
    return nVerliHub::SendToActive(data, delay > 0);
}

bool Server::send_to_passive(const char *data, long delay)
{
    return nVerliHub::SendToPassive(data, delay > 0);
}

bool Server::send_to_active_class(const char *data, long min, long max, long delay)
{
    return nVerliHub::SendToActiveClass(data, int(min), int(max), delay > 0);
}

bool Server::send_to_passive_class(const char *data, long min, long max, long delay)
{
    return nVerliHub::SendToPassiveClass(data, int(min), int(max), delay > 0);
}

bool Server::send_to_user(const char *data, const char *nick, long delay)
{
    return nVerliHub::SendDataToUser(data, nick, delay > 0);
}

bool Server::send_to_all(const char *data, long min, long max, long delay)
{
    return nVerliHub::SendToClass(data, int(min), int(max), delay > 0);
}

bool Server::send_pm_to_all(const char *message, const char *from, long min, long max)
{
    if (!message || min > max)
        return false;
    const std::string sender = name_or_bot(from);
    std::string start, end;
    server_.mP.Create_PMForBroadcast(start, end, sender, sender, said(message));
    server_.SendToAllWithNick(start, end, int(min), int(max));
    server_.LastBCNick = sender;
    return true;
}

bool Server::to_chat(const char *message, long min, long max, const char *from)
{
    return message && nVerliHub::SendToChat(name_or_bot(from).c_str(), said(message).c_str(), int(min), int(max));
}

bool Server::chat_to_all(const char *message, const char *from)
{
    return to_chat(message, eUC_NORMUSER, eUC_MASTER, from);
}

bool Server::chat_to_class(const char *message, long min, long max, const char *from)
{
    return to_chat(message, min, max, from);
}

bool Server::chat_to_user(const char *message, const char *nick, const char *from)
{
    cUser *to = online(nick);
    if (!message || !to)
        return false;
    std::string line;
    server_.mP.Create_Chat(line, name_or_bot(from), said(message));
    to->mxConn->Send(line, true);
    return true;
}

bool Server::pm(const char *message, const char *nick, const char *from, const char *shown)
{
    cUser *to = online(nick);
    if (!message || !to)
        return false;
    const std::string sender = name_or_bot(from);
    std::string line;
    server_.mP.Create_PM(line, sender, to->mNick, given(shown) ? shown : sender, said(message));
    to->mxConn->Send(line, true);
    return true;
}

// ---------------------------------------------------------------- users

bool Server::close_connection(const char *nick, long delay, long reason)
{
    cUser *who = online(nick);
    if (!who)
        return false;
    who->mxConn->CloseNice(int(delay == 1 ? 1000 : delay), reason ? int(reason) : int(eCR_PLUGIN));
    return true;
}

std::optional<MyInfo> Server::my_info(const char *nick)
{
    cUser *who = user(nick);
    if (!who)
        return std::nullopt;
    cMessageDC message;
    message.mStr = who->mFakeMyINFO;
    message.Parse();
    return split_my_info(message);
}

bool Server::set_my_info(const char *nick, const char *desc, const char *tag, const char *speed, const char *mail,
                         const char *size)
{
    cUser *who = user(nick);
    std::optional<MyInfo> info = my_info(nick);
    if (!who || !who->mInList || !info)
        return false;
    const char *const fields[] = {desc, tag, speed, mail, size};
    for (size_t at = 0; at < 5; at++)
        if (fields[at])
            (*info)[at + 1] = fields[at];
    std::string &shown = (*info)[3];
    shown = with_status(shown);
    std::string line;
    server_.mP.Create_MyINFO(line, who->mNick, (*info)[1] + (*info)[2], shown, (*info)[4], (*info)[5]);
    if (line.find('|') != std::string::npos)
        return false;
    who->mFakeMyINFO = line;
    who->mMyFlag = static_cast<unsigned char>(shown.back());
    show_my_info(*who, line);
    return true;
}

void Server::show_my_info(cUser &who, std::string &info)
{
    std::string copy = info;
    const bool delayed = server_.mC.delayed_myinfo;
    if (server_.mC.myinfo_tls_filter && who.GetMyFlag(eMF_TLS)) {
        std::string without;
        server_.mUserList.SendToAllWithMyFlag(copy, eMF_TLS, delayed, true);
        server_.RemoveMyINFOFlag(without, info, eMF_TLS);
        server_.mUserList.SendToAllWithoutMyFlag(without, eMF_TLS, delayed, true);
    } else {
        server_.mUserList.SendToAll(copy, delayed, true);
    }
    server_.mUserList.OnRemove(&who); // only marks the cached lists for rebuilding
}

long Server::user_class(const char *nick)
{
    cUser *who = user(nick);
    return who ? long(who->mClass) : -2;
}

std::optional<std::string> Server::user_host(const char *nick)
{
    cUser *who = online(nick);
    if (!who)
        return std::nullopt;
    if (!server_.mUseDNS)
        who->mxConn->DNSLookup();
    return who->mxConn->AddrHost();
}

std::optional<std::string> Server::user_ip(const char *nick)
{
    cUser *who = user(nick);
    if (!who)
        return std::nullopt;
    return who->mxConn ? who->mxConn->AddrIP() : "127.0.0.1";
}

bool Server::set_user_ip(const char *nick, const char *ip)
{
    return nVerliHub::SetUserIP(nick, ip);
}

bool Server::set_flag(const char *nick, long flag)
{
    return nick && flag > 0 && nVerliHub::SetMyINFOFlag(nick, static_cast<unsigned>(flag));
}

bool Server::unset_flag(const char *nick, long flag)
{
    return nick && flag > 0 && nVerliHub::UnsetMyINFOFlag(nick, static_cast<unsigned>(flag));
}

std::optional<std::string> Server::user_hub_url(const char *nick)
{
    cUser *who = online(nick);
    if (!who)
        return std::nullopt;
    return who->mxConn->mHubURL;
}

std::optional<std::string> Server::user_ext_json(const char *nick)
{
    cUser *who = online(nick);
    if (!who)
        return std::nullopt;
    return who->mExtJSON;
}

std::optional<std::string> Server::user_country_code(const char *nick)
{
    cUser *who = online(nick);
    if (!who)
        return std::nullopt;
    return who->mxConn->GetGeoCC();
}

std::optional<Table> Server::users(const char *fields)
{
    std::vector<std::string> names;
    std::istringstream words(fields ? fields : "");
    for (std::string name; words >> name;)
        names.push_back(name);
    const std::vector<std::string> parts = {"", "desc", "tag", "speed", "mail", "share"};
    Table table;
    table.columns = names.size();
    for (const std::string &nick : nicks()) {
        std::optional<MyInfo> info;
        for (const std::string &name : names) {
            const auto part = std::find(parts.begin() + 1, parts.end(), name);
            if (name == "nick") {
                table.cells.push_back(nick);
            } else if (name == "class") {
                table.cells.push_back(std::to_string(user_class(nick.c_str())));
            } else if (name == "ip") {
                table.cells.push_back(user_ip(nick.c_str()));
            } else if (name == "cc") {
                table.cells.push_back(user_country_code(nick.c_str()));
            } else if (part != parts.end()) {
                if (!info)
                    info = my_info(nick.c_str());
                table.cells.push_back(info ? std::optional((*info)[size_t(part - parts.begin())]) : std::nullopt);
            } else {
                table.cells.push_back(std::nullopt);
            }
        }
    }
    return table;
}

std::vector<std::string> Server::nicks()
{
    std::vector<std::string> found;
    const std::string list = nick_list(), prefix = "$NickList ", separator = "$$";
    size_t from = list.compare(0, prefix.size(), prefix) ? 0 : prefix.size();
    for (size_t end; (end = list.find(separator, from)) != std::string::npos; from = end + separator.size())
        found.push_back(list.substr(from, end - from));
    return found;
}

std::string Server::nick_list()
{
    std::string list;
    server_.mUserList.GetNickList(list);
    return list;
}

std::string Server::op_list()
{
    std::string list;
    server_.mOpList.GetNickList(list);
    return list;
}

std::string Server::bot_list()
{
    std::string list;
    server_.mRobotList.GetNickList(list);
    return list;
}

std::optional<long> Server::restrictions(const char *nick, const char *chat, const char *pm, const char *search,
                                         const char *ctm)
{
    constexpr long FREE = 1, WEEK = 7 * 24 * 3600;
    cUser *who = user(nick);
    if (!who)
        return std::nullopt;
    const long now = server_.mTime.Sec();
    const std::pair<const char *, long *> fields[] = {
        {chat, &who->mGag}, {pm, &who->mNoPM}, {search, &who->mNoSearch}, {ctm, &who->mNoCTM}};
    long until[4], restricted = 0;
    for (size_t at = 0; at < 4; at++) {
        const auto &[period, field] = fields[at];
        until[at] = *field;
        if (!given(period))
            continue;
        if (!strcmp(period, "0")) {
            until[at] = FREE;
        } else {
            std::ostringstream ignored;
            const long seconds = strcmp(period, "1") ? long(server_.Str2Period(period, ignored)) : WEEK;
            if (!seconds)
                return std::nullopt;
            until[at] = now + seconds;
        }
    }
    for (size_t at = 0; at < 4; at++) {
        *fields[at].second = until[at];
        if (!until[at] || until[at] > now)
            restricted |= 1L << at;
    }
    return restricted;
}

} // namespace vhpy_verlihub
