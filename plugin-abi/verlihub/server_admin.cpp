// server_admin.cpp - places, registrations, kicks, bans, configuration, SQL and robots:
// functions of scripts done with Verlihub's server object or its script interface, as its own
// Lua plugin does them.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#include <climits>
#include <cstdlib>
#include <cstring>

#include "server.h"
#include "text.h"

namespace vhpy_verlihub {

using namespace nVerliHub;
using namespace nVerliHub::nEnums;
using namespace nVerliHub::nSocket;
using nVerliHub::nMySQL::cQuery;
using nVerliHub::nTables::cBan;

namespace {

std::optional<std::string> unless_empty(std::string value)
{
    if (value.empty())
        return std::nullopt;
    return value;
}

bool has_bad_letters(const std::string &nick)
{
    return nick.find_first_of(BAD_NICK_CHARS_NMDC BAD_NICK_CHARS_OWN) != std::string::npos;
}

const char *continent_name(const std::string &code)
{
    static const std::pair<const char *, const char *> NAMES[] = {
        {"AF", "Africa"},        {"AS", "Asia"},    {"EU", "Europe"},     {"NA", "North America"},
        {"SA", "South America"}, {"OC", "Oceania"}, {"AN", "Antarctica"},
    };
    for (const auto &[known, name] : NAMES)
        if (code == known)
            return name;
    return "";
}

} // namespace

// ---------------------------------------------------------------- places

std::optional<std::string> Server::ip_country_code(const char *ip)
{
    return unless_empty(nVerliHub::GetIPCC(ip));
}

std::optional<std::string> Server::ip_country(const char *ip)
{
    return unless_empty(nVerliHub::GetIPCN(ip));
}

std::optional<std::string> Server::ip_asn(const char *ip, const char *database)
{
    std::string name;
    if (!given(ip) || !server_.mMaxMindDB->GetASN(name, ip, text(database)))
        return std::nullopt;
    return name;
}

std::optional<Place> Server::ip_place(const char *ip, const char *database)
{
    if (!given(ip))
        return std::nullopt;
    Place place;
    std::string host, low, high, cc, ccc, country, region_code, region, zone, continent, city, postal;
    unsigned short metro = 0, area = 0;
    if (!server_.mMaxMindDB->GetGeoIP(host, low, high, cc, ccc, country, region_code, region, zone, continent, city,
                                      postal, place.latitude, place.longitude, metro, area, ip, text(database)))
        return std::nullopt;
    place.metro_code = metro;
    place.area_code = area;
    place.texts = {{"host", host},
                   {"range_low", low},
                   {"range_high", high},
                   {"country_code", cc},
                   {"country_code_xxx", ccc},
                   {"country", country},
                   {"region_code", region_code},
                   {"region", region},
                   {"time_zone", zone},
                   {"continent_code", continent},
                   {"continent", continent_name(continent)},
                   {"city", city},
                   {"postal_code", postal}};
    return place;
}

// ---------------------------------------------------------------- registrations, kicks and bans

bool Server::add_reg_user(const char *nick, long rank, const char *password, const char *op)
{
    const bool usual = rank == eUC_PINGER || (rank >= eUC_REGUSER && rank <= eUC_ADMIN);
    return given(nick) && !has_bad_letters(nick) && usual &&
           nVerliHub::AddRegUser(nick, int(rank), text(password).c_str(), name_or_bot(op).c_str());
}

bool Server::del_reg_user(const char *nick)
{
    return given(nick) && nVerliHub::DelRegUser(nick);
}

bool Server::set_reg_class(const char *nick, long rank)
{
    const bool usual = (rank >= eUC_REGUSER && rank <= eUC_ADMIN) || rank == eUC_MASTER;
    return given(nick) && usual && nVerliHub::SetRegClass(nick, int(rank));
}

bool Server::ban(const char *op, const char *nick, const char *reason, long seconds, long type)
{
    constexpr long TYPES = 10;
    cUser *who = online(nick);
    if (!who || type < 0 || type >= TYPES || seconds < 0)
        return false;
    cBan entry(&server_);
    server_.mBanList->NewBan(entry, who->mxConn, name_or_bot(op), text(reason), static_cast<unsigned>(seconds),
                             1U << type);
    if (!seconds)
        entry.mDateEnd = 0; // for ever; otherwise it would have ended just now
    else if (seconds > INT_MAX - server_.mTime.Sec())
        entry.mDateEnd = INT_MAX; // the latest that the database can hold
    server_.mBanList->AddBan(entry);
    who->mxConn->CloseNice(1000, eCR_KICKED);
    return true;
}

bool Server::kick(const char *op, const char *nick, const char *reason, const char *address, const char *note_op,
                  const char *note_user)
{
    cUser *by = user(op), *who = online(nick);
    if (!by || !who || by == who)
        return false;
    if (given(address))
        who->mxConn->mCloseRedirect = address;
    server_.DCKickNick(nullptr, by, who->mNick, text(reason), eKI_CLOSE | eKI_WHY | eKI_PM | eKI_BAN, text(note_op),
                       text(note_user));
    // Classes, protection and other plugins may have prevented it.
    const bool kicked = who->mxConn->mCloseReason == eCR_KICKED;
    if (!kicked && given(address))
        who->mxConn->mCloseRedirect.clear();
    return kicked;
}

bool Server::del_nick_temp_ban(const char *nick)
{
    return given(nick) && nVerliHub::DeleteNickTempBan(nick);
}

bool Server::del_ip_temp_ban(const char *ip)
{
    return given(ip) && nVerliHub::DeleteIPTempBan(ip);
}

// ---------------------------------------------------------------- commands and configuration

// Not by the hub's function of this name, which gives its first command again and again.
bool Server::parse_command(const char *nick, const char *command, long in_pm)
{
    cUser *who = online(nick);
    if (!who || !given(command))
        return false;
    std::string line(command);
    return server_.mP.ParseForCommands(line, who->mxConn, int(in_pm)) != 0;
}

bool Server::script_command(const std::string &source, const char *command, const char *data, long immediate)
{
    if (!given(command))
        return false;
    std::string plugin = "python", script = source;
    if (immediate <= 0) {
        std::string line(command), with = text(data);
        return server_.AddScriptCommand(&line, &with, &plugin, &script, false);
    }
    auto keep = [this](std::string value) { return &sent_commands_.emplace_back(std::move(value)); };
    std::string *const strings[] = {keep(command), keep(text(data)), keep(plugin), keep(script)};
    return server_.AddScriptCommand(strings[0], strings[1], strings[2], strings[3], true);
}

std::string Server::file(const char *name)
{
    return !given(name) || !strcmp(name, "config") ? server_.mDBConf.config_name : name;
}

bool Server::set_config(const char *name, const char *variable, const char *value)
{
    if (!given(variable) || !value)
        return false;
    // These two go into lines as they are.
    const bool shown = !strcmp(variable, "hub_name") || !strcmp(variable, "hub_topic");
    std::string now, before;
    return server_.SetConfig(file(name).c_str(), variable, (shown ? said(value) : value).c_str(), now, before) == 1;
}

std::optional<std::string> Server::config(const char *name, const char *variable, const char *fallback)
{
    if (!given(variable))
        return std::nullopt;
    char *value = server_.GetConfig(file(name).c_str(), variable, fallback);
    if (!value)
        return std::nullopt;
    std::string copy(value);
    free(value);
    return copy;
}

std::string Server::topic(const char *topic)
{
    if (topic) {
        set_config(nullptr, "hub_topic", topic);
        std::string line;
        server_.mP.Create_HubName(line, server_.mC.hub_name, server_.mC.hub_topic);
        server_.mUserList.SendToAll(line, true, true);
    }
    return server_.mC.hub_topic;
}

std::optional<Table> Server::sql(const char *statement, long limit)
{
    constexpr long DEFAULT_ROWS = 100;
    if (!given(statement))
        return std::nullopt;
    cQuery query(server_.mMySQL);
    query.OStream() << statement;
    if (query.Query() < 0) {
        query.Clear();
        return std::nullopt;
    }
    Table table;
    query.StoreResult();
    if (query.GetResult()) {
        table.columns = static_cast<size_t>(query.Cols());
        for (long rows = limit > 0 ? limit : DEFAULT_ROWS; rows > 0; rows--) {
            const MYSQL_ROW row = query.Row();
            if (!row)
                break;
            for (size_t at = 0; at < table.columns; at++)
                table.cells.emplace_back(row[at] ? row[at] : "NULL");
        }
    }
    query.Clear();
    return table;
}

double Server::frequency()
{
    return server_.mFrequency.GetMean(server_.mTime);
}

long Server::users_count()
{
    return server_.mUserCountTot;
}

std::string Server::total_share()
{
    return std::to_string(server_.mTotalShare);
}

bool Server::stop_hub(long code, long delay)
{
    return nVerliHub::StopHub(int(code), int(delay));
}

// ---------------------------------------------------------------- robots

// As the hub numbers the reasons: vh.eBOT_*.
long Server::is_robot_nick_bad(const char *nick)
{
    enum { GOOD, EXISTS, WITHOUT_NICK, BAD_CHARS, RESERVED };
    if (!given(nick))
        return WITHOUT_NICK;
    const std::string name(nick);
    if (has_bad_letters(name))
        return BAD_CHARS;
    if (name == server_.mC.hub_security || name == server_.mC.opchat_name)
        return RESERVED;
    if (server_.mRobotList.ContainsNick(name) || server_.mUserList.ContainsNick(name))
        return EXISTS;
    return GOOD;
}

bool Server::add_robot(const char *nick, long rank, const char *desc, const char *speed, const char *mail,
                       const char *share)
{
    const bool usual = (rank >= eUC_NORMUSER && rank <= eUC_ADMIN) || rank == eUC_MASTER;
    if (!usual || is_robot_nick_bad(nick) != 0)
        return false;
    std::string info;
    server_.mP.Create_MyINFO(info, nick, text(desc), with_status(text(speed)), text(mail), given(share) ? share : "0");
    return info.find('|') == std::string::npos && plugin_.NewRobot(nick, int(rank), info) != nullptr;
}

// Only those that scripts made: the hub's own and other plugins' are not ours.
bool Server::del_robot(const char *nick)
{
    cUserBase *robot = given(nick) ? plugin_.mRobots.GetUserBaseByNick(nick) : nullptr;
    if (!robot)
        return false;
    plugin_.DelRobot(static_cast<cUserRobot *>(robot));
    return true;
}

} // namespace vhpy_verlihub
