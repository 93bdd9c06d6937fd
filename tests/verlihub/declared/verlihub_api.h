// verlihub_api.h - of Verlihub's classes what the adapter uses, declared and no more: with it all
// files of the adapter are compiled where no Verlihub is installed. Whoever uses more of Verlihub
// declares it here; that it is right, a build against the real headers shows (make test-verlihub).
// Members whose names begin with fake_ are what tests/verlihub/fake/printing_hub.cpp keeps, which does
// what is declared here.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#ifndef VHPY_TESTS_VERLIHUB_API_H
#define VHPY_TESTS_VERLIHUB_API_H

#include <cstdint>
#include <iostream>
#include <map>
#include <ostream>
#include <sstream>
#include <string>

using std::cerr;
using std::endl;
using std::ostream;
using std::string;

using MYSQL_ROW = char **;

#define BAD_NICK_CHARS_NMDC "$|"
#define BAD_NICK_CHARS_OWN "<> "

namespace nVerliHub {

namespace nEnums {

enum tUserCl { eUC_PINGER = -1, eUC_NORMUSER = 0, eUC_REGUSER = 1, eUC_ADMIN = 5, eUC_MASTER = 10 };
enum tCloseReason { eCR_KICKED = 2, eCR_PLUGIN = 21 };
enum tConnType { eCT_LISTEN };
enum tChEvent : unsigned { eCC_INPUT = 1 };
enum tDCMsg { eDC_SEARCH, eDC_SEARCH_PAS, eDC_TTHS, eDC_TTHS_PAS };
enum { eKI_CLOSE = 1, eKI_WHY = 2, eKI_PM = 4, eKI_BAN = 8 };
enum { ePF_MYINFO, ePF_LAST };
enum { eMF_TLS = 0x10 };
enum { eUR_KICK = 1 };
enum { eSF_USERCOMMAND = 1 << 9 };
// The parts of a message.
enum : unsigned {
    eCH_1_PARAM,
    eCH_CH_MSG,
    eCH_PM_MSG,
    eCH_PM_TO,
    eCH_MCTO_MSG,
    eCH_MCTO_TO,
    eCH_MI_NICK,
    eCH_MI_DESC,
    eCH_MI_SPEED,
    eCH_MI_MAIL,
    eCH_MI_SIZE,
    eCH_CM_NICK,
    eCH_CM_IP,
    eCH_CM_PORT,
    eCH_RC_OTHER,
    eCH_SA_ADDR,
    eCH_SA_TTH,
    eCH_SP_NICK,
    eCH_SP_TTH,
};

} // namespace nEnums

namespace nSocket {
class cConnDC;
class cServerDC;
} // namespace nSocket

struct cTime {
    long Sec() const;
};

class cUserBase {
public:
    virtual ~cUserBase();
    std::string mNick;
    unsigned long long mNickHash;
    nEnums::tUserCl mClass;
    bool mInList;
};

class cUser : public cUserBase {
public:
    nSocket::cConnDC *mxConn;
    std::string mFakeMyINFO, mExtJSON;
    int mProtectFrom;
    long mGag, mNoPM, mNoSearch, mNoCTM;
    unsigned char mMyFlag;
    bool Can(unsigned right, long now);
    bool GetMyFlag(unsigned flag);
};

class cUserRobot : public cUser {};

class cUserCollection {
public:
    using tHashType = unsigned long long;
    std::string fake_name;
    std::map<std::string, cUserBase *> fake_users;
    tHashType Nick2Hash(const std::string &nick);
    bool ContainsNick(const std::string &nick);
    bool ContainsHash(const tHashType &hash);
    cUserBase *GetUserBaseByNick(const std::string &nick);
    cUser *GetUserByNick(const std::string &nick);
    void GetNickList(std::string &list);
    void SendToAll(std::string &data, bool delayed, bool with_pipe);
    void SendToAllWithNick(std::string &start, std::string &end);
    void SendToAllWithMyFlag(std::string &data, unsigned flag, bool delayed, bool with_pipe);
    void SendToAllWithoutMyFlag(std::string &data, unsigned flag, bool delayed, bool with_pipe);
    void OnRemove(cUserBase *user);
};

struct cDCTag {
    std::string mTag;
};

namespace nProtocol {

class cMessageDC {
public:
    cMessageDC();
    std::string mStr;
    int mType;
    std::map<unsigned, std::string> fake_parts;
    int Parse();
    bool SplitChunks();
    std::string &ChunkString(unsigned number);
    void ReInit();
};

class cDCProto {
public:
    static void Create_Chat(std::string &to, const std::string &nick, const std::string &text);
    static void Create_PM(std::string &to, const std::string &from, const std::string &nick, const std::string &sign,
                          const std::string &text);
    static void Create_PMForBroadcast(std::string &start, std::string &end, const std::string &from,
                                      const std::string &sign, const std::string &text);
    static void Create_MyINFO(std::string &to, const std::string &nick, const std::string &desc,
                              const std::string &speed, const std::string &mail, const std::string &share);
    static void Create_HubName(std::string &to, const std::string &name, const std::string &topic);
    static void Create_Search(std::string &to, const std::string &address, const std::string &tth, bool passive);
    int ParseForCommands(const std::string &line, nSocket::cConnDC *conn, int in_pm);
    int TreatMsg(cMessageDC *message, nSocket::cConnDC *conn);
};

} // namespace nProtocol

namespace nSocket {

class cAsyncConn {
public:
    cAsyncConn(int socket, void *server, nEnums::tConnType type);
    virtual ~cAsyncConn();
    virtual cAsyncConn *Accept(const unsigned int from, const unsigned int to);
    int mSockDesc;
    bool ok;
    std::string fake_ip, fake_host;
    static unsigned long sSocketCounter;
    std::string &AddrIP();
    std::string &AddrHost();
    unsigned AddrPort();
    unsigned GetServPort();
    bool DNSLookup();
    void CloseNice(int milliseconds, int reason);
};

class cConnPoll {
public:
    bool AddConn(cAsyncConn *conn);
    bool DelConn(cAsyncConn *conn);
    void OptIn(int descriptor, nEnums::tChEvent events);
};

class cConnDC : public cAsyncConn {
public:
    explicit cConnDC(int socket = 0, void *server = nullptr);
    cUser *mpUser;
    std::string mMyNick, mHubURL, mCloseRedirect;
    int mCloseReason;
    unsigned long mFeatures = 0;
    unsigned mProtoFloodCounts[nEnums::ePF_LAST];
    int Send(std::string &data, bool with_pipe = true);
    std::string GetGeoCC();
};

class cAsyncSocketServer {
public:
    unsigned mStepDelay;
    int timer_serv_period;
    cTime mTime;

protected:
    cConnPoll mConnChooser;
};

} // namespace nSocket

using nSocket::cAsyncSocketServer;

namespace nTables {

class cBan {
public:
    explicit cBan(nSocket::cServerDC *server);
    long mDateEnd;
    std::string mNickOp, mIP, mNick, mReason;
};

class cBanList {
public:
    void NewBan(cBan &ban, nSocket::cConnDC *conn, const std::string &op, const std::string &reason, unsigned seconds,
                unsigned mask);
    void AddBan(cBan &ban);
};

struct cDCConf {
    std::string hub_security, opchat_name, hub_encoding, hub_name, hub_topic;
    unsigned classdif_kick, plugin_mod_class;
    bool delayed_myinfo, myinfo_tls_filter;
};

struct cDBConf {
    std::string config_name;
};

} // namespace nTables

namespace nMySQL {

class cMySQL {};

class cQuery {
public:
    std::ostringstream fake_statement;
    int fake_row = 0;
    explicit cQuery(cMySQL &connection);
    std::ostringstream &OStream();
    int Query();
    int StoreResult();
    void *GetResult();
    unsigned Cols();
    MYSQL_ROW Row();
    void Clear();
};

} // namespace nMySQL

class cMaxMindDB {
public:
    bool GetASN(std::string &name, const std::string &ip, const std::string &file);
    bool GetGeoIP(std::string &host, std::string &low, std::string &high, std::string &cc, std::string &ccc,
                  std::string &country, std::string &region_code, std::string &region, std::string &zone,
                  std::string &continent, std::string &city, std::string &postal, double &latitude, double &longitude,
                  unsigned short &metro, unsigned short &area, const std::string &ip, const std::string &file);
};

struct cMeanFrequency {
    double GetMean(const cTime &now);
};

namespace nSocket {

class cServerDC : public cAsyncSocketServer {
public:
    nTables::cDCConf mC;
    nTables::cDBConf mDBConf;
    nProtocol::cDCProto mP;
    nMySQL::cMySQL mMySQL;
    nTables::cBanList *mBanList;
    cMaxMindDB *mMaxMindDB;
    cUserRobot *mOpChat;
    cUserCollection mUserList, mOpList, mRobotList, mOpchatList;
    cMeanFrequency mFrequency;
    std::string mConfigBaseDir, LastBCNick;
    cTime mStartTime;
    unsigned mUserCountTot;
    unsigned long long mTotalShare;
    bool mUseDNS;

    void DCPublicHS(const std::string &text, cConnDC *conn);
    void DCPrivateHS(const std::string &text, cConnDC *conn);
    void DCKickNick(ostream *os, cUser *op, const std::string &nick, const std::string &why, int flags,
                    const std::string &note_op, const std::string &note_user);
    void SendToAllWithNick(const std::string &start, const std::string &end, int min, int max);
    void RemoveMyINFOFlag(std::string &without, const std::string &info, unsigned flag);
    int SetConfig(const char *file, const char *variable, const char *value, std::string &now, std::string &before);
    char *GetConfig(const char *file, const char *variable, const char *fallback);
    bool AddScriptCommand(std::string *command, std::string *data, std::string *plugin, std::string *script,
                          bool immediate);
    unsigned Str2Period(const std::string &period, ostream &errors);
};

} // namespace nSocket

namespace nPlugin {

class cPluginBase {
public:
    virtual ~cPluginBase();
    std::string mName, mVersion;
    bool RegisterCallBack(const std::string &name);
    bool ErrLog(int level);
    bool Log(int level);
    ostream &LogStream();
};

class cVHPlugin : public cPluginBase {
public:
    using cConnDC = nSocket::cConnDC;
    using cMessageDC = nProtocol::cMessageDC;
    cVHPlugin();
    ~cVHPlugin() override;
    nSocket::cServerDC *mServer;
    cUserCollection mRobots;
    cUserRobot *NewRobot(const std::string &nick, int rank, const std::string &info);
    bool DelRobot(cUserRobot *robot);

    virtual void OnLoad(nSocket::cServerDC *server);
    virtual bool RegisterAll() = 0;
    virtual bool OnNewConn(cConnDC *);
    virtual bool OnCloseConn(cConnDC *);
    virtual bool OnCloseConnEx(cConnDC *);
    virtual bool OnParsedMsgChat(cConnDC *, cMessageDC *);
    virtual bool OnParsedMsgPM(cConnDC *, cMessageDC *);
    virtual bool OnParsedMsgMCTo(cConnDC *, cMessageDC *);
    virtual bool OnParsedMsgSearch(cConnDC *, cMessageDC *);
    virtual bool OnParsedMsgSR(cConnDC *, cMessageDC *);
    virtual bool OnParsedMsgMyINFO(cConnDC *, cMessageDC *);
    virtual bool OnFirstMyINFO(cConnDC *, cMessageDC *);
    virtual bool OnParsedMsgValidateNick(cConnDC *, cMessageDC *);
    virtual bool OnParsedMsgAny(cConnDC *, cMessageDC *);
    virtual bool OnParsedMsgAnyEx(cConnDC *, cMessageDC *);
    virtual bool OnOpChatMessage(std::string *nick, std::string *data);
    virtual bool OnPublicBotMessage(std::string *nick, std::string *data, int min, int max);
    virtual bool OnUnLoad(long code);
    virtual bool OnCtmToHub(cConnDC *, std::string *ref);
    virtual bool OnParsedMsgSupports(cConnDC *, cMessageDC *, std::string *back);
    virtual bool OnParsedMsgMyHubURL(cConnDC *, cMessageDC *);
    virtual bool OnParsedMsgExtJSON(cConnDC *, cMessageDC *);
    virtual bool OnParsedMsgBotINFO(cConnDC *, cMessageDC *);
    virtual bool OnParsedMsgVersion(cConnDC *, cMessageDC *);
    virtual bool OnParsedMsgMyPass(cConnDC *, cMessageDC *);
    virtual bool OnParsedMsgConnectToMe(cConnDC *, cMessageDC *);
    virtual bool OnParsedMsgRevConnectToMe(cConnDC *, cMessageDC *);
    virtual bool OnUnknownMsg(cConnDC *, cMessageDC *);
    virtual bool OnOperatorCommand(cConnDC *, std::string *command);
    virtual bool OnUserCommand(cConnDC *, std::string *command);
    virtual bool OnHubCommand(cConnDC *, std::string *command, int is_op, int in_pm);
    virtual bool OnOperatorKicks(cUser *op, cUser *user, std::string *why);
    virtual bool OnOperatorDrops(cUser *op, cUser *user, std::string *why);
    virtual bool OnValidateTag(cConnDC *, cDCTag *tag);
    virtual bool OnScriptCommand(std::string *command, std::string *data, std::string *plug, std::string *script);
    virtual bool OnUserInList(cUser *);
    virtual bool OnUserLogin(cUser *);
    virtual bool OnUserLogout(cUser *);
    virtual bool OnTimer(long long milliseconds);
    virtual bool OnNewReg(cUser *op, std::string nick, int rank);
    virtual bool OnNewBan(cUser *op, nTables::cBan *ban);
    virtual bool OnSetConfig(cUser *user, std::string *file, std::string *variable, std::string *value,
                             std::string *old, int type);
    virtual bool SupportsMultipleScripts();
    virtual bool AddScript(const std::string &file, ostream &os);
    virtual bool IsScriptLoaded(const std::string &file);
    virtual bool UnLoadScript(const std::string &file);
};

} // namespace nPlugin

// ---------------------------------------------------------------- the interface for scripts

bool SendToActive(const char *data, bool delay = false);
bool SendToPassive(const char *data, bool delay = false);
bool SendToActiveClass(const char *data, int min, int max, bool delay = false);
bool SendToPassiveClass(const char *data, int min, int max, bool delay = false);
bool SendDataToUser(const char *data, const char *nick, bool delay = false);
bool SendToClass(const char *data, int min, int max, bool delay = false);
bool SendToChat(const char *nick, const char *text, int min, int max);
bool SetUserIP(const char *nick, const char *ip);
bool SetMyINFOFlag(const char *nick, unsigned flag);
bool UnsetMyINFOFlag(const char *nick, unsigned flag);
std::string GetIPCC(const char *ip);
std::string GetIPCN(const char *ip);
bool AddRegUser(const char *nick, int rank, const char *password, const char *op);
bool DelRegUser(const char *nick);
bool SetRegClass(const char *nick, int rank);
bool DeleteNickTempBan(const char *nick);
bool DeleteIPTempBan(const char *ip);
bool StopHub(int code, int delay);
char *GetConfig(const char *file, const char *variable, const char *fallback);

} // namespace nVerliHub

#endif
