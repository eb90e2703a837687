// PAN-OS syslog CSV. Field names are the variable names of the PAN-OS documentation ("Syslog Field Descriptions").
#include <array>

#include "base/text.hpp"
#include "formats/syslog/header.hpp"

namespace bavn::formats::paloalto {

namespace {

using syslog::Header;

// "-" is a field that the documentation calls FUTURE_USE. Lines of older versions end earlier.
#define PAN_START "-,receive_time,serial,type,subtype,-,time_generated,"
#define PAN_SESSION                                                                                                  \
  "src,dst,natsrc,natdst,rule,srcuser,dstuser,app,vsys,from,to,inbound_if,outbound_if,logset,-,sessionid,repeatcnt," \
  "sport,"                                                                                                           \
  "dport,natsport,natdport,flags,proto,action,"
#define PAN_GROUP "dg_hier_level_1,dg_hier_level_2,dg_hier_level_3,dg_hier_level_4,vsys_name,device_name,"
#define PAN_DEVICES                                                                                                   \
  "src_category,src_profile,src_model,src_vendor,src_osfamily,src_osversion,src_host,src_mac,dst_category,dst_"       \
  "profile,"                                                                                                          \
  "dst_model,dst_vendor,dst_osfamily,dst_osversion,dst_host,dst_mac,container_id,pod_namespace,pod_name,src_edl,dst_" \
  "edl,"                                                                                                              \
  "hostid,serialnumber,"
#define PAN_APP                                                                                              \
  "subcategory_of_app,category_of_app,technology_of_app,risk_of_app,characteristic_of_app,container_of_app," \
  "tunneled_app,is_saas_of_app,sanctioned_state_of_app"

struct Kind {
  std::string_view type;
  std::string_view names;
};
constexpr std::array<Kind, 14> kKinds = {{
    {"TRAFFIC", PAN_START PAN_SESSION
     "bytes,bytes_sent,bytes_received,packets,start,elapsed,category,-,seqno,actionflags,srcloc,dstloc,-,pkts_sent,"
     "pkts_received,session_end_reason," PAN_GROUP
     "action_source,src_uuid,dst_uuid,tunnelid,monitortag,parent_session_id,parent_start_time,tunnel,assoc_id,chunks,"
     "chunks_sent,chunks_received,rule_uuid,http2_connection,link_change_count,policy_id,link_switches,sdwan_cluster,"
     "sdwan_device_type,sdwan_cluster_type,sdwan_site,dynusergroup_name,xff_ip," PAN_DEVICES
     "src_dag,dst_dag,session_owner,high_res_timestamp,nssai_sst,nssai_sd," PAN_APP ",offloaded"},
    {"THREAT", PAN_START PAN_SESSION
     "misc,threatid,category,severity,direction,seqno,actionflags,srcloc,dstloc,-,contenttype,pcap_id,filedigest,cloud,"
     "url_idx,user_agent,filetype,xff,referer,sender,subject,recipient,reportid," PAN_GROUP
     "-,src_uuid,dst_uuid,http_method,tunnelid,monitortag,parent_session_id,parent_start_time,tunnel,thr_category,"
     "contentver,-,assoc_id,ppid,http_headers,url_category_list,rule_uuid,http2_connection,dynusergroup_name,xff_"
     "ip," PAN_DEVICES
     "domain_edl,src_dag,dst_dag,partial_hash,high_res_timestamp,reason,justification,nssai_sst," PAN_APP},
    {"SYSTEM",
     PAN_START "vsys,eventid,object,-,-,module,severity,opaque,seqno,actionflags," PAN_GROUP "-,-,high_res_timestamp"},
    {"CONFIG", PAN_START
     "host,vsys,cmd,admin,client,result,path,before_change_detail,after_change_detail,seqno,actionflags," PAN_GROUP
     "dg_id,comment,-,high_res_timestamp"},
    {"GLOBALPROTECT", PAN_START
     "vsys,eventid,stage,auth_method,tunnel_type,srcuser,srcregion,machinename,public_ip,public_ipv6,private_ip,"
     "private_ipv6,hostid,serialnumber,client_ver,client_os,client_os_ver,repeatcnt,reason,error,opaque,status,"
     "location,"
     "login_duration,connect_method,error_code,portal,seqno,actionflags,high_res_timestamp,selection_type,response_"
     "time,"
     "priority,attempted_gateways,gateway," PAN_GROUP "vsys_id"},
    {"USERID",
     PAN_START "vsys,ip,user,datasourcename,eventid,repeatcnt,timeout,beginport,endport,datasource,datasourcetype,"
               "seqno,actionflags," PAN_GROUP
               "vsys_id,factortype,factorcompletiontime,factorno,ugflags,userbysource,tag_name,high_res_timestamp"},
    {"HIPMATCH",
     PAN_START "srcuser,vsys,machinename,os,src,matchname,repeatcnt,matchtype,-,-,seqno,actionflags," PAN_GROUP
               "vsys_id,srcipv6,hostid,serialnumber,mac,high_res_timestamp"},
    {"AUTHENTICATION", PAN_START
     "vsys,ip,user,normalize_user,object,authpolicy,repeatcnt,authid,vendor,logset,serverprofile,desc,clienttype,event,"
     "factorno,seqno,actionflags," PAN_GROUP
     "vsys_id,authproto,rule_uuid,high_res_timestamp,src_category,src_profile,src_model,src_vendor,src_osfamily,"
     "src_osversion,src_host,src_mac,region,-,user_agent,sessionid"},
    {"DECRYPTION", PAN_START PAN_SESSION
     "tunnel,-,-,src_uuid,dst_uuid,rule_uuid,hs_stage_c2f,hs_stage_f2s,tls_version,tls_keyxchg,tls_enc,tls_auth,"
     "policy_name,ec_curve,err_index,root_status,chain_status,proxy_type,cert_serial,fingerprint,notbefore,notafter,"
     "cert_ver,cert_size,cn_len,issuer_len,rootcn_len,sni_len,cert_flags,cn,issuer_cn,root_cn,sni,error,container_id,"
     "pod_namespace,pod_name,src_edl,dst_edl,src_dag,dst_dag,high_res_timestamp"},
    {"START", PAN_START PAN_SESSION "severity,seqno,actionflags,srcloc,dstloc"},
    {"END", PAN_START PAN_SESSION "severity,seqno,actionflags,srcloc,dstloc"},
    {"SCTP", PAN_START PAN_SESSION},
    {"IPTAG", PAN_START "vsys,ip,tag_name,eventid,repeatcnt,timeout,datasourcename,datasource_type,datasource_subtype,"
                        "seqno,actionflags," PAN_GROUP "vsys_id,high_res_timestamp"},
    {"CORRELATION", PAN_START "src,srcuser,vsys,category,severity," PAN_GROUP "vsys_id,objectname,object_id,evidence"},
}};
constexpr std::string_view kOther = PAN_START;
#undef PAN_START
#undef PAN_SESSION
#undef PAN_GROUP
#undef PAN_DEVICES
#undef PAN_APP

std::string_view names_of(std::string_view type) {
  for (const Kind& k : kKinds)
    if (k.type == type || (type == "HIP-MATCH" && k.type == "HIPMATCH") || (type == "USER-ID" && k.type == "USERID"))
      return k.names;
  return kOther;
}

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    const std::size_t start = csv_start(h.message);
    if (start == std::string_view::npos) return not_mine(reason);
    const std::string_view line = h.message.substr(start);
    std::string_view value, type, subtype;
    std::size_t count = 0;
    for (CsvFields f(line); f.next(value, scratch_); ++count) {
      if (count == 3) type = value;
      if (count == 4) subtype = value;
    }
    Cursor names(names_of(type));
    // PAN-OS before 5.0 writes a configuration line without the change details.
    const bool short_config = type == "CONFIG" && count <= 16;
    std::optional<Instant> exact, generated, received;
    for (CsvFields f(line); f.next(value, scratch_);) {
      std::string_view name;
      if (names.empty()) break;
      if (const auto n = names.until(',')) name = *n;
      else name = names.rest(), names = Cursor({});
      if (short_config && name == "before_change_detail") {
        names.until(',');
        name = *names.until(',');
      }
      if (name == "-" || value.empty()) continue;
      sink.put(name, value);
      if (name == "high_res_timestamp") exact = parse_time(value);
      else if (name == "time_generated") generated = parse_time(value);
      else if (name == "receive_time") received = parse_time(value);
      else if (name == "misc") sink.put(subtype == "url" ? "url" : "file_name", value);
      else if (name == "opaque" || name == "desc") sink.put("message", value);
    }
    if (exact && micros(*exact) < 86'400'000'000) exact.reset();  // 1970: the device had none
    happened(sink, h, exact ? exact : generated ? generated : received);
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override {
    return csv_start(h.message) == std::string_view::npos ? 0 : 95;
  }

 private:
  /// Where "1,2021/10/25 20:25:39,<serial>,TYPE," begins: at once or behind a host name.
  static std::size_t csv_start(std::string_view s) {
    for (std::size_t from = 0; from < s.size() && from <= 300;) {
      Cursor at(s.substr(from));
      if (at.number(10) && at.skip(',') && at.rest().size() > 20 && at.rest()[13] == ':') {
        const std::string_view r = at.rest();
        if (r[4] == '/' && r[7] == '/' && r[19] == ',') return from;
        if (r[4] == '-' && r[10] == 'T' && r.substr(19, 12).find(',') != std::string_view::npos)
          return from;  // Cortex Data Lake
      }
      const std::size_t blank = s.find(' ', from);
      if (blank == std::string_view::npos) break;
      from = blank + 1;
    }
    return std::string_view::npos;
  }
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::paloalto
