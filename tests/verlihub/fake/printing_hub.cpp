// printing_hub.cpp - a Verlihub that does nothing but print what it is asked for: what
// tests/verlihub/declared declares, for the tests of the whole plugin. Facts about the real one,
// such as the forms of its messages, are not tested with it; make test-verlihub does that.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#include "printing_hub.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace fake {

void print(const std::string &line)
{
    for (const char letter : line)
        if (static_cast<unsigned char>(letter) < 0x20)
            printf("\\x%02x", letter);
        else
            putchar(letter);
    putchar('\n');
    fflush(stdout);
}

nVerliHub::nSocket::cServerDC server;
nVerliHub::nPlugin::cVHPlugin *plugin = nullptr;
nVerliHub::nSocket::cAsyncConn *polled = nullptr;
std::map<std::string, std::string> settings;

} // namespace fake

namespace {

std::string shown(const std::string &text) { return '"' + text + '"'; }
std::string shown(const char *text) { return text ? '"' + std::string(text) + '"' : "NULL"; }
std::string shown(const nVerliHub::cUserBase *user) { return user ? user->mNick : "nobody"; }
std::string shown(const nVerliHub::nSocket::cConnDC *conn) { return conn ? "at " + conn->fake_ip : "nowhere"; }
template <class T> std::enable_if_t<std::is_arithmetic_v<T>, std::string> shown(T number)
{
    return std::to_string(number);
}

template <class... A> void did(const char *what, const A &...args)
{
    std::string line = what;
    ((line += " " + shown(args)), ...);
    fake::print(line);
}

std::string lower(std::string text)
{
    std::transform(text.begin(), text.end(), text.begin(), [](char c) { return char(tolower(c)); });
    return text;
}

// The value of a configuration variable, for whom frees it.
char *value_of(const char *file, const char *variable, const char *fallback)
{
    const auto found = fake::settings.find(std::string(file) + "." + variable);
    if (found != fake::settings.end())
        return strdup(found->second.c_str());
    return fallback ? strdup(fallback) : nullptr;
}

// The parts between these separators, one after another.
std::vector<std::string> between(const std::string &text, const std::string &separators)
{
    std::vector<std::string> parts;
    size_t from = 0;
    for (const char separator : separators) {
        const size_t end = text.find(separator, from);
        if (end == std::string::npos)
            return {};
        parts.push_back(text.substr(from, end - from));
        from = end + 1;
    }
    parts.push_back(text.substr(from));
    return parts;
}

} // namespace

namespace nVerliHub {

using namespace nEnums;

long cTime::Sec() const { return 1000; }
cUserBase::~cUserBase() = default;
bool cUser::Can(unsigned right, long now) { return right == eUR_KICK && now == 1000; }
bool cUser::GetMyFlag(unsigned flag) { return mMyFlag & flag; }

cUserCollection::tHashType cUserCollection::Nick2Hash(const std::string &nick)
{
    return std::hash<std::string>()(lower(nick));
}

bool cUserCollection::ContainsNick(const std::string &nick) { return fake_users.count(lower(nick)) > 0; }

bool cUserCollection::ContainsHash(const tHashType &hash)
{
    return std::any_of(fake_users.begin(), fake_users.end(),
                       [&](const auto &entry) { return Nick2Hash(entry.first) == hash; });
}

cUserBase *cUserCollection::GetUserBaseByNick(const std::string &nick)
{
    const auto found = fake_users.find(lower(nick));
    return found == fake_users.end() ? nullptr : found->second;
}

cUser *cUserCollection::GetUserByNick(const std::string &nick)
{
    return static_cast<cUser *>(GetUserBaseByNick(nick));
}

void cUserCollection::GetNickList(std::string &list)
{
    list = "$" + fake_name + " ";
    for (const auto &[key, user] : fake_users)
        list += user->mNick + "$$";
}

void cUserCollection::SendToAll(std::string &data, bool delayed, bool with_pipe)
{
    did("SendToAll", fake_name, data, delayed, with_pipe);
}
void cUserCollection::SendToAllWithNick(std::string &start, std::string &end)
{
    did("SendToAllWithNick", fake_name, start, end);
}
void cUserCollection::SendToAllWithMyFlag(std::string &data, unsigned flag, bool delayed, bool with_pipe)
{
    did("SendToAllWithMyFlag", data, flag, delayed, with_pipe);
}
void cUserCollection::SendToAllWithoutMyFlag(std::string &data, unsigned flag, bool delayed, bool with_pipe)
{
    did("SendToAllWithoutMyFlag", data, flag, delayed, with_pipe);
}
void cUserCollection::OnRemove(cUserBase *user) { did("OnRemove", fake_name, user); }

namespace nProtocol {

cMessageDC::cMessageDC() : mType(0) {}
int cMessageDC::Parse() { return mType; }

bool cMessageDC::SplitChunks()
{
    const std::string my_info = "$MyINFO $ALL ";
    if (mStr.compare(0, my_info.size(), my_info) == 0) {
        // nick desc<tag>$ $speed$mail$size$
        const std::vector<std::string> parts = between(mStr.substr(my_info.size()), " $$$$$");
        if (parts.empty())
            return true;
        fake_parts = {{eCH_MI_NICK, parts[0]}, {eCH_MI_DESC, parts[1]}, {eCH_MI_SPEED, parts[3]},
                      {eCH_MI_MAIL, parts[4]}, {eCH_MI_SIZE, parts[5]}};
    }
    return false;
}

std::string &cMessageDC::ChunkString(unsigned number) { return fake_parts[number]; }
void cMessageDC::ReInit() { fake_parts.clear(); }

void cDCProto::Create_Chat(std::string &to, const std::string &nick, const std::string &text)
{
    to = "<" + nick + "> " + text;
}
void cDCProto::Create_PM(std::string &to, const std::string &from, const std::string &nick, const std::string &sign,
                         const std::string &text)
{
    to = "$To: " + nick + " From: " + from + " $<" + sign + "> " + text;
}
void cDCProto::Create_PMForBroadcast(std::string &start, std::string &end, const std::string &from,
                                     const std::string &sign, const std::string &text)
{
    start = "$To: ";
    end = " From: " + from + " $<" + sign + "> " + text;
}
void cDCProto::Create_MyINFO(std::string &to, const std::string &nick, const std::string &desc,
                             const std::string &speed, const std::string &mail, const std::string &share)
{
    to = "$MyINFO $ALL " + nick + " " + desc + "$ $" + speed + "$" + mail + "$" + share + "$";
}
void cDCProto::Create_HubName(std::string &to, const std::string &name, const std::string &topic)
{
    to = "$HubName " + name + " - " + topic;
}
void cDCProto::Create_Search(std::string &to, const std::string &address, const std::string &tth, bool passive)
{
    to = std::string("$Search ") + (passive ? "Hub:" : "") + address + " F?T?0?9?TTH:" + tth;
}
int cDCProto::ParseForCommands(const std::string &line, nSocket::cConnDC *conn, int in_pm)
{
    did("ParseForCommands", line, conn, in_pm);
    return 1;
}
int cDCProto::TreatMsg(cMessageDC *message, nSocket::cConnDC *conn)
{
    did("TreatMsg", message->mStr, conn);
    cDCTag tag{"<tag>"};
    const bool goes_on = fake::plugin->OnParsedMsgAny(conn, message) && fake::plugin->OnValidateTag(conn, &tag) &&
                         fake::plugin->OnFirstMyINFO(conn, message) && fake::plugin->OnParsedMsgMyINFO(conn, message);
    did("treated", goes_on);
    return 0;
}

} // namespace nProtocol

namespace nSocket {

unsigned long cAsyncConn::sSocketCounter = 0;
cAsyncConn::cAsyncConn(int socket, void *, tConnType) : mSockDesc(socket), ok(true) {}
cAsyncConn::~cAsyncConn() = default;
cAsyncConn *cAsyncConn::Accept(const unsigned int, const unsigned int) { return nullptr; }
std::string &cAsyncConn::AddrIP() { return fake_ip; }
std::string &cAsyncConn::AddrHost() { return fake_host; }
unsigned cAsyncConn::AddrPort() { return 1234; }
unsigned cAsyncConn::GetServPort() { return 411; }
bool cAsyncConn::DNSLookup()
{
    fake_host = "host-of-" + fake_ip;
    return true;
}
void cAsyncConn::CloseNice(int milliseconds, int reason) { did("CloseNice", fake_ip, milliseconds, reason); }
bool cConnPoll::AddConn(cAsyncConn *conn)
{
    did("AddConn", conn->mSockDesc >= 0);
    fake::polled = conn;
    return true;
}
bool cConnPoll::DelConn(cAsyncConn *conn)
{
    did("DelConn", conn->mSockDesc >= 0);
    return true;
}
void cConnPoll::OptIn(int, tChEvent events) { did("OptIn", unsigned(events)); }
cConnDC::cConnDC(int socket, void *server)
    : cAsyncConn(socket, server, eCT_LISTEN), mpUser(nullptr), mCloseReason(0), mProtoFloodCounts()
{
}
int cConnDC::Send(std::string &data, bool with_pipe)
{
    did("Send", this, data, with_pipe);
    return 1;
}
std::string cConnDC::GetGeoCC() { return "CC"; }

void cServerDC::DCPublicHS(const std::string &text, cConnDC *conn) { did("DCPublicHS", text, conn); }
void cServerDC::DCPrivateHS(const std::string &text, cConnDC *conn) { did("DCPrivateHS", text, conn); }
void cServerDC::DCKickNick(ostream *, cUser *op, const std::string &nick, const std::string &why, int flags,
                           const std::string &note_op, const std::string &note_user)
{
    cUser *who = mUserList.GetUserByNick(nick);
    did("DCKickNick", op, nick, why, flags, note_op, note_user, who->mxConn->mCloseRedirect);
    // As the hub does: who is protected stays.
    if (who->mProtectFrom < op->mClass)
        who->mxConn->mCloseReason = eCR_KICKED;
}
void cServerDC::SendToAllWithNick(const std::string &start, const std::string &end, int min, int max)
{
    did("SendToAllWithNick", start, end, min, max);
}
void cServerDC::RemoveMyINFOFlag(std::string &without, const std::string &info, unsigned flag)
{
    without = info + " without " + std::to_string(flag);
}
int cServerDC::SetConfig(const char *file, const char *variable, const char *value, std::string &, std::string &)
{
    // The library's own options are a table that grows; another test is about them.
    if (strcmp(file, "pi_python") || !strcmp(variable, "step_delay"))
        did("SetConfig", file, variable, value);
    fake::settings[std::string(file) + "." + variable] = value;
    if (!strcmp(variable, "hub_topic"))
        mC.hub_topic = value;
    return 1;
}
char *cServerDC::GetConfig(const char *file, const char *variable, const char *fallback)
{
    return value_of(file, variable, fallback);
}
bool cServerDC::AddScriptCommand(std::string *command, std::string *data, std::string *plugin, std::string *script,
                                 bool immediate)
{
    const size_t slash = script->rfind('/');
    did("AddScriptCommand", *command, *data, *plugin, script->substr(slash + 1), immediate);
    return true;
}
unsigned cServerDC::Str2Period(const std::string &period, ostream &)
{
    return period == "1h" ? 3600 : period == "1d" ? 86400 : 0;
}

} // namespace nSocket

namespace nTables {

cBan::cBan(nSocket::cServerDC *) : mDateEnd(0) {}
void cBanList::NewBan(cBan &ban, nSocket::cConnDC *conn, const std::string &op, const std::string &reason,
                      unsigned seconds, unsigned mask)
{
    did("NewBan", conn, op, reason, seconds, mask);
    ban.mDateEnd = 1000 + long(seconds);
}
void cBanList::AddBan(cBan &ban) { did("AddBan until", ban.mDateEnd); }

} // namespace nTables

namespace nMySQL {

cQuery::cQuery(cMySQL &) {}
std::ostringstream &cQuery::OStream() { return fake_statement; }
int cQuery::Query() { return fake_statement.str() == "bad" ? -1 : 0; }
int cQuery::StoreResult() { return 0; }
void *cQuery::GetResult() { return fake_statement.str() == "nothing" ? nullptr : this; }
unsigned cQuery::Cols() { return 2; }
MYSQL_ROW cQuery::Row()
{
    static char one[] = "1", *row[] = {one, nullptr};
    return fake_row++ < 200 ? row : nullptr;
}
void cQuery::Clear() { did("Clear", fake_statement.str()); }

} // namespace nMySQL

bool cMaxMindDB::GetASN(std::string &name, const std::string &ip, const std::string &file)
{
    name = "AS of " + ip + " in " + file;
    return ip != "unknown";
}
bool cMaxMindDB::GetGeoIP(std::string &host, std::string &low, std::string &high, std::string &cc, std::string &ccc,
                          std::string &country, std::string &region_code, std::string &region, std::string &zone,
                          std::string &continent, std::string &city, std::string &postal, double &latitude,
                          double &longitude, unsigned short &metro, unsigned short &area, const std::string &ip,
                          const std::string &file)
{
    host = ip + " in " + file, low = "low", high = "high", cc = "cc", ccc = "ccc", country = "country";
    region_code = "region code", region = "region", zone = "zone", continent = "OC", city = "city", postal = "postal";
    latitude = 1.5, longitude = 2.5, metro = 3, area = 4;
    return ip != "unknown";
}
double cMeanFrequency::GetMean(const cTime &) { return 12.5; }

namespace nPlugin {

cPluginBase::~cPluginBase() = default;
bool cPluginBase::RegisterCallBack(const std::string &name)
{
    did("RegisterCallBack", name);
    return true;
}
bool cPluginBase::ErrLog(int) { return true; }
bool cPluginBase::Log(int) { return true; }
ostream &cPluginBase::LogStream() { return cerr; }
cVHPlugin::cVHPlugin() : mServer(nullptr) {}
cVHPlugin::~cVHPlugin() = default;
cUserRobot *cVHPlugin::NewRobot(const std::string &nick, int rank, const std::string &info)
{
    did("NewRobot", nick, rank, info);
    auto robot = new cUserRobot();
    robot->mNick = nick;
    mRobots.fake_users[lower(nick)] = mServer->mRobotList.fake_users[lower(nick)] = robot;
    return robot;
}
bool cVHPlugin::DelRobot(cUserRobot *robot)
{
    did("DelRobot", robot);
    mRobots.fake_users.erase(lower(robot->mNick));
    mServer->mRobotList.fake_users.erase(lower(robot->mNick));
    delete robot;
    return true;
}
void cVHPlugin::OnLoad(nSocket::cServerDC *server) { mServer = server; }

#define GOES_ON(...) { return true; }
bool cVHPlugin::OnNewConn(cConnDC *) GOES_ON()
bool cVHPlugin::OnCloseConn(cConnDC *) GOES_ON()
bool cVHPlugin::OnCloseConnEx(cConnDC *) GOES_ON()
bool cVHPlugin::OnParsedMsgChat(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnParsedMsgPM(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnParsedMsgMCTo(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnParsedMsgSearch(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnParsedMsgSR(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnParsedMsgMyINFO(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnFirstMyINFO(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnParsedMsgValidateNick(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnParsedMsgAny(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnParsedMsgAnyEx(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnOpChatMessage(std::string *, std::string *) GOES_ON()
bool cVHPlugin::OnPublicBotMessage(std::string *, std::string *, int, int) GOES_ON()
bool cVHPlugin::OnUnLoad(long) GOES_ON()
bool cVHPlugin::OnCtmToHub(cConnDC *, std::string *) GOES_ON()
bool cVHPlugin::OnParsedMsgSupports(cConnDC *, cMessageDC *, std::string *) GOES_ON()
bool cVHPlugin::OnParsedMsgMyHubURL(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnParsedMsgExtJSON(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnParsedMsgBotINFO(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnParsedMsgVersion(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnParsedMsgMyPass(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnParsedMsgConnectToMe(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnParsedMsgRevConnectToMe(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnUnknownMsg(cConnDC *, cMessageDC *) GOES_ON()
bool cVHPlugin::OnOperatorCommand(cConnDC *, std::string *) GOES_ON()
bool cVHPlugin::OnUserCommand(cConnDC *, std::string *) GOES_ON()
bool cVHPlugin::OnHubCommand(cConnDC *, std::string *, int, int) GOES_ON()
bool cVHPlugin::OnOperatorKicks(cUser *, cUser *, std::string *) GOES_ON()
bool cVHPlugin::OnOperatorDrops(cUser *, cUser *, std::string *) GOES_ON()
bool cVHPlugin::OnValidateTag(cConnDC *, cDCTag *) GOES_ON()
bool cVHPlugin::OnScriptCommand(std::string *, std::string *, std::string *, std::string *) GOES_ON()
bool cVHPlugin::OnUserInList(cUser *) GOES_ON()
bool cVHPlugin::OnUserLogin(cUser *) GOES_ON()
bool cVHPlugin::OnUserLogout(cUser *) GOES_ON()
bool cVHPlugin::OnTimer(long long) GOES_ON()
bool cVHPlugin::OnNewReg(cUser *, std::string, int) GOES_ON()
bool cVHPlugin::OnNewBan(cUser *, nTables::cBan *) GOES_ON()
bool cVHPlugin::OnSetConfig(cUser *, std::string *, std::string *, std::string *, std::string *, int) GOES_ON()
bool cVHPlugin::SupportsMultipleScripts() GOES_ON()
bool cVHPlugin::AddScript(const std::string &, ostream &) GOES_ON()
bool cVHPlugin::IsScriptLoaded(const std::string &) GOES_ON()
bool cVHPlugin::UnLoadScript(const std::string &) GOES_ON()
#undef GOES_ON

} // namespace nPlugin

bool SendToActive(const char *data, bool delay) { return did("SendToActive", data, delay), true; }
bool SendToPassive(const char *data, bool delay) { return did("SendToPassive", data, delay), true; }
bool SendToActiveClass(const char *data, int min, int max, bool delay)
{
    return did("SendToActiveClass", data, min, max, delay), true;
}
bool SendToPassiveClass(const char *data, int min, int max, bool delay)
{
    return did("SendToPassiveClass", data, min, max, delay), true;
}
bool SendDataToUser(const char *data, const char *nick, bool delay)
{
    // What the script has to say.
    if (!strcmp(nick, "tester"))
        fake::print(std::string("  ") + data);
    else
        did("SendDataToUser", data, nick, delay);
    return true;
}
bool SendToClass(const char *data, int min, int max, bool delay) { return did("SendToClass", data, min, max, delay), true; }
bool SendToChat(const char *nick, const char *text, int min, int max)
{
    return did("SendToChat", nick, text, min, max), true;
}
bool SetUserIP(const char *nick, const char *ip) { return did("SetUserIP", nick, ip), true; }
bool SetMyINFOFlag(const char *nick, unsigned flag) { return did("SetMyINFOFlag", nick, flag), true; }
bool UnsetMyINFOFlag(const char *nick, unsigned flag) { return did("UnsetMyINFOFlag", nick, flag), true; }
std::string GetIPCC(const char *ip) { return strcmp(ip, "unknown") ? "CC of " + std::string(ip) : ""; }
std::string GetIPCN(const char *ip) { return strcmp(ip, "unknown") ? "country of " + std::string(ip) : ""; }
bool AddRegUser(const char *nick, int rank, const char *password, const char *op)
{
    return did("AddRegUser", nick, rank, password, op), true;
}
bool DelRegUser(const char *nick) { return did("DelRegUser", nick), true; }
bool SetRegClass(const char *nick, int rank) { return did("SetRegClass", nick, rank), true; }
bool DeleteNickTempBan(const char *nick) { return did("DeleteNickTempBan", nick), true; }
bool DeleteIPTempBan(const char *ip) { return did("DeleteIPTempBan", ip), true; }
bool StopHub(int code, int delay) { return did("StopHub", code, delay), true; }
char *GetConfig(const char *file, const char *variable, const char *fallback)
{
    return value_of(file, variable, fallback);
}

} // namespace nVerliHub
