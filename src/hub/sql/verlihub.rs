//! What Verlihub's database has and this hub does not use: variables and tables that scripts
//! read, with Verlihub's defaults.

use rusqlite::{Connection, params};

use super::super::settings::{Settings, settings};

/// Variables of Verlihub's that mean nothing here, with their defaults. Texts that Verlihub says
/// to users are empty.
const VARIABLES: &str = "
    hub_version= hub_version_special= listen_ip=0.0.0.0 listen_port=4111 extra_listen_ports=
    tls_listen_ip=127.0.0.1 tls_listen_port=0 tls_only_mode=0 not_tls_redirect= tls_detect_wait=500
    tls_cert_file=hub.crt tls_key_file=hub.key tls_cert_org=Verlihub tls_cert_mail=verlihub@localhost
    tls_cert_host=localhost tls_min_ver=2 tls_buf_size=10 tls_force_myip=0 tls_err_log=0 hublist_host=
    hublist_port=2501 hublist_send_minshare=1 hublist_send_listhost=1 timer_hublist_period=21600
    update_check_git=0 update_check_period=43200 max_users_passive=-1 max_extra_pings=10 max_extra_regs=25
    max_extra_vips=50 max_extra_ops=100 max_extra_cheefs=100 max_extra_admins=200 max_users0=6000
    max_users1=1000 max_users2=1000 max_users3=1000 max_users4=1000 max_users5=1000 max_users6=1000
    min_share_factor_passive=1.0 min_share_use_hub=0 min_share_use_hub_reg=0 min_share_use_hub_vip=0
    max_share_reg=157286400 max_share_vip=157286400 max_share_ops=157286400 use_search_filter=1
    filter_lan_requests=0 search_number=1 int_search=32 int_search_pas=48 int_search_reg=16
    int_search_reg_pas=48 int_search_vip=8 int_search_op=1 delayed_search=1 nick_prefix_nocase=0
    nick_prefix_cc=0 nick_prefix_autoreg= autoreg_class=0 autounreg_class=0 max_len_version=64
    max_len_in=512 max_len_mynick=128 max_len_lock=256 delayed_chat=0 chat_default_on=1 notify_gag_chats=0
    clean_gags_cleanbans=0 max_flood_counter_mcto=5 same_flood_ban_time=900 proto_flood_report=1
    proto_flood_report_locked=1 proto_flood_report_time=600 int_flood_mcto_period=10 int_flood_mcto_limit=5
    proto_flood_mcto_action=3 int_flood_in_period=60 int_flood_in_limit=20 proto_flood_in_action=3
    int_flood_extjson_period=60 int_flood_extjson_limit=20 proto_flood_extjson_action=3
    int_flood_rctm_period=10 int_flood_rctm_limit=300 proto_flood_rctm_action=3 int_flood_nicklist_period=60
    int_flood_nicklist_limit=3 proto_flood_nicklist_action=3 int_flood_getinfo_period=10
    int_flood_getinfo_limit=200 proto_flood_getinfo_action=3 int_flood_ping_period=60 int_flood_ping_limit=5
    proto_flood_ping_action=3 int_flood_unknown_period=30 int_flood_unknown_limit=10
    proto_flood_unknown_action=3 int_flood_all_chat_period=15 int_flood_all_chat_limit=10
    int_flood_all_mcto_period=15 int_flood_all_mcto_limit=10 int_flood_all_to_period=15
    int_flood_all_to_limit=10 int_flood_all_search_period=5 int_flood_all_search_limit=400
    int_flood_all_rctm_period=10 int_flood_all_rctm_limit=200 classdif_mcto=10 classdif_search=10
    min_class_use_hub_passive=1 use_hub_msg_time=0 min_class_lstredir=4 min_class_bc=4 min_class_bc_guests=4
    min_class_bc_regs=4 min_class_bc_vips=4 bc_reply= dest_report_chat=0 dest_regme_chat=0 dest_drop_chat=0
    disable_me_cmd=0 disable_regme_cmd=0 disable_usr_cmds=0 disable_report_cmd=0
    default_password_encryption=2 wrongpass_message= report_pass_reset=0 wrongauthip_report=1
    wrongip_message=0 clone_detect_count=0 clone_detect_report=1 nullchars_report=1 botinfo_report=0
    send_pass_request=1 send_crash_report=1 chatonly_bypass_class=3 extended_welcome_message=1 host_header=1
    int_myinfo=60 int_nicklist=60 int_login=60 max_class_int_login=3 max_class_check_clone=0
    max_class_self_repass=0 clone_det_tban_time=1800 clone_ip_tban_time=0 log_level=0 report_dns_lookup=0
    report_user_country=1 notify_kicks_to_all=-1 allow_same_user=1 max_class_same_user=1 hide_msg_badctm=0
    hide_msg_badtlsctm=0 adv_timer_conn_period=4 adv_timer_serv_period=1 adv_min_frequency=0.3
    adv_step_delay=50 adv_no_conn_delay=50 adv_no_read_try=100 adv_no_read_delay=5
    adv_conn_choose_timeout=10 adv_conn_accept_num=100 adv_conn_accept_try=10 adv_max_upload_kbps=131072.0
    adv_max_outfill_size=786432 adv_max_unblock_size=524288 timer_reloadcfg_period=300 use_reglist_cache=1
    use_penlist_cache=1 delayed_myinfo=1 delayed_ping=60 disable_zlib=1 zlib_compress_level=-1
    zlib_min_len=100 myinfo_tls_filter=0 mmdb_conv_depth=2 mmdb_cache=1 mmdb_cache_mins=60
    tag_allow_unknown=1 tag_allow_passive=1 tag_allow_sock5=1 tag_sum_hubs=3 tag_min_class_ignore=3
    desc_insert_mode=0 desc_insert_vars= show_speed=1 tag_min_hs_ratio=0.0 tag_max_hs_ratio=0.0
    tag_min_hubs=0 tag_min_hubs_usr=0 tag_min_hubs_reg=0 tag_min_hubs_op=0 tag_min_version=-1
    tag_max_version=-1 cc_zone1= cc_zone2= cc_zone3= ip_zone4_min= ip_zone4_max= ip_zone5_min= ip_zone5_max=
    ip_zone6_min= ip_zone6_max= msg_replace_ban= timer_serv_period=1 timer_conn_period=4 search_chars=4
    redir_host_default= redirect_host_default=
";

/// Tables of Verlihub's and of its plugins that mean nothing here.
const TABLES: &str = "
create table if not exists file_trigger (
    command varchar(30) not null primary key collate nocase, send_as varchar(128), def text, descr varchar(255),
    min_class int(2), max_class int(2) default 10, flags int(3) default 0, seconds int(15) default 0);
create table if not exists custom_redirects (
    address varchar(125) not null primary key collate nocase, flag smallint(5) not null default 0,
    start tinyint(2) not null default 0, stop tinyint(2) not null default 0, country varchar(50),
    secure tinyint(1) not null default 2, share int(11) not null default 0, enable tinyint(1) not null default 1);
create table if not exists conn_types (
    identifier varchar(16) not null primary key collate nocase,
    description varchar(64) default 'no description', tag_min_slots int(4) default 0,
    tag_max_slots int(4) default 0, tag_min_limit double default -1, tag_min_ls_ratio double default -1);
insert or ignore into conn_types (identifier) values ('default');
create table if not exists client_list (
    name varchar(125) not null primary key collate nocase, tag_id varchar(125) not null default '',
    min_version decimal(8,5) not null default -1, max_version decimal(8,5) not null default -1,
    min_ver_use decimal(8,5) not null default -1, ban tinyint(1) not null default 0,
    enable tinyint(1) not null default 1);
create table if not exists pi_plug (
    nick varchar(10) not null primary key collate nocase, path varchar(128) not null, dest varchar(10),
    detail varchar(255), autoload tinyint(1) default 0, error varchar(255), lastload int(11));
create table if not exists pi_forbid (
    word varchar(100) not null primary key collate nocase, check_mask tinyint(4) default 1,
    afclass tinyint(4) default 4, banreason varchar(50));
create table if not exists pi_replacer (
    word varchar(255) not null primary key collate nocase, rep_word varchar(255) not null, afclass tinyint default 4);
create table if not exists pi_chatroom (
    nick varchar(32) not null primary key collate nocase, topic text, min_class tinyint(4) default 0,
    auto_class_min tinyint(4) default 11, auto_class_max tinyint(4) default 4, auto_cc varchar(32));
create table if not exists pi_messages (
    sender varchar(32) not null collate nocase, date_sent int(11) not null, sender_ip varchar(15),
    receiver varchar(32) not null, date_expires int(11) default 0, subject varchar(128), body text,
    primary key (sender, date_sent));
create table if not exists pi_iplog (
    date int(11), action smallint(6) default 0, ip bigint(20), nick varchar(64), info int(11));
create table if not exists pi_isp (
    ipmin bigint(20) not null default 0, ipmax bigint(20) not null default 0, cc varchar(32), name varchar(64),
    descprefix varchar(16), nickpattern varchar(64), errmsg varchar(128), conntype varchar(64),
    connmsg varchar(128), minshare int(11) default -1, minsharereg int(11) default -1,
    minsharevip int(11) default -1, minshareop int(11) default -1, maxshare int(11) default -1,
    maxsharereg int(11) default -1, maxsharevip int(11) default -1, maxshareop int(11) default -1,
    primary key (ipmin));
create table if not exists pi_stats (
    realtime int(11) not null primary key, uptime int(11), users_total int(11) default 0,
    upload_total double default 0, share_total_gb int(11) default 0, freq_search_active double default 0,
    freq_search_passive double default 0, freq_user_login double default 0, freq_user_logout double default 0);
";

fn variables() -> impl Iterator<Item = (&'static str, &'static str)> {
    VARIABLES.split_ascii_whitespace().filter_map(|word| word.split_once('='))
}

/// Whether a variable is one of Verlihub's that means nothing here.
pub fn is_variable(name: &str) -> bool {
    variables().any(|(known, _)| known == name)
}

/// Makes what is missing.
pub fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("begin immediate; {TABLES}"))?;
    {
        let mut statement =
            connection.prepare("insert or ignore into SetupList (file, var, val) values ('config', ?, ?)")?;
        let defaults = Settings::default();
        for setting in settings() {
            statement.execute(params![
                setting.name,
                String::from_utf8_lossy(&defaults.get(setting.name).unwrap_or_default())
            ])?;
        }
        for (name, value) in variables() {
            statement.execute([name, value])?;
        }
    }
    connection.execute_batch("commit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_variable_is_there_twice() {
        let mut seen = std::collections::HashSet::new();
        assert!(variables().count() > 200);
        for name in variables().map(|(name, _)| name).chain(settings().map(|setting| setting.name)) {
            assert!(seen.insert(name), "{name}");
        }
    }
}
