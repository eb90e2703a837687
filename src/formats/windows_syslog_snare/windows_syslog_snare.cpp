// Windows events that Snare (or NXLog, rsyslog's agent) writes: MSWinEventLog and tab separated columns. The names of the event's
// own data are those of the Windows event (SubjectUserName, IpAddress), found from section and label in the English text.
#include <array>

#include "base/text.hpp"
#include "formats/syslog/header.hpp"

namespace bavn::formats::windows_syslog_snare {

namespace {

using syslog::Header;
using syslog::put_if;

struct Label {
  std::string_view section, label, name;  // an empty section: wherever it stands
};
constexpr std::array<Label, 47> kLabels = {{{"Subject", "Security ID", "SubjectUserSid"},
                                            {"Subject", "Account Name", "SubjectUserName"},
                                            {"Subject", "Account Domain", "SubjectDomainName"},
                                            {"Subject", "Logon ID", "SubjectLogonId"},
                                            {"New Logon", "Security ID", "TargetUserSid"},
                                            {"New Logon", "Account Name", "TargetUserName"},
                                            {"New Logon", "Account Domain", "TargetDomainName"},
                                            {"New Logon", "Logon ID", "TargetLogonId"},
                                            {"New Logon", "Logon GUID", "LogonGuid"},
                                            {"Account For Which Logon Failed", "Account Name", "TargetUserName"},
                                            {"Account For Which Logon Failed", "Account Domain", "TargetDomainName"},
                                            {"Account Whose Credentials Were Used", "Account Name", "TargetUserName"},
                                            {"Account That Was Locked Out", "Account Name", "TargetUserName"},
                                            {"Target Account", "Account Name", "TargetUserName"},
                                            {"Target Account", "Account Domain", "TargetDomainName"},
                                            {"Target Account", "Security ID", "TargetSid"},
                                            {"New Account", "Account Name", "TargetUserName"},
                                            {"New Account", "Security ID", "TargetSid"},
                                            {"Account Information", "Account Name", "TargetUserName"},
                                            {"Account Information", "Account Domain", "TargetDomainName"},
                                            {"Group", "Group Name", "TargetUserName"},
                                            {"Member", "Account Name", "MemberName"},
                                            {"Member", "Security ID", "MemberSid"},
                                            {"Service Information", "Service Name", "ServiceName"},
                                            {"Service Information", "Service File Name", "ImagePath"},
                                            {"", "Logon Type", "LogonType"},
                                            {"", "Source Network Address", "IpAddress"},
                                            {"", "Client Address", "IpAddress"},
                                            {"", "Source Port", "IpPort"},
                                            {"", "Client Port", "IpPort"},
                                            {"", "Workstation Name", "WorkstationName"},
                                            {"", "Source Workstation", "Workstation"},
                                            {"", "Logon Process", "LogonProcessName"},
                                            {"", "Authentication Package", "AuthenticationPackageName"},
                                            {"", "New Process Name", "NewProcessName"},
                                            {"", "Creator Process Name", "ParentProcessName"},
                                            {"", "Process Command Line", "CommandLine"},
                                            {"", "Process Name", "ProcessName"},
                                            {"", "Failure Reason", "FailureReason"},
                                            {"", "Status", "Status"},
                                            {"", "Sub Status", "SubStatus"},
                                            {"", "Task Name", "TaskName"},
                                            {"", "Share Name", "ShareName"},
                                            {"", "Relative Target Name", "RelativeTargetName"},
                                            {"", "Object Name", "ObjectName"},
                                            {"", "Ticket Encryption Type", "TicketEncryptionType"},
                                            {"", "Application Name", "Application"}}};

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    const std::size_t start = begin(h.message);
    if (start == std::string_view::npos) return not_mine(reason);
    static constexpr std::array<std::string_view, 14> names = {
        "",     "criticality", "Channel",  "EventRecordID", "",         "EventID", "Provider_Name",
        "User", "SidType",     "Keywords", "Computer",      "category", "data",    "Message"};
    std::string_view rest = h.message.substr(start), event_time, text;
    if (rest.starts_with(kEscaped)) {
      tabs_.clear();
      for (std::size_t at = 0; at < rest.size(); ++at) {
        const bool escape = rest.substr(at).starts_with("#011");
        tabs_ += escape ? '\t' : rest[at];
        if (escape) at += 3;
      }
      rest = tabs_;
    }
    std::size_t n = 0;
    for (bool more = true; more && n < names.size() + 2; ++n) {
      const std::size_t tab = rest.find('\t');
      const std::string_view value = trim(rest.substr(0, tab));
      more = tab != std::string_view::npos;
      if (more) rest.remove_prefix(tab + 1);
      if (n == 4) event_time = value;
      if (n >= names.size() || names[n].empty() || value.empty() || value == "N/A") continue;
      // Older agents leave the "data" column out: then the text stands in its place.
      if (n == 12 && value.size() > 40) {
        text = value;
        sink.put("Message", value);
        continue;
      }
      if (n == 13) {
        if (!text.empty()) continue;
        text = value;
      }
      sink.put(names[n], value);
    }
    if (n < 12) {
      reason = "snare line is cut";
      return LineVerdict::refused;
    }
    put_if(sink, "message", text);
    labels(text, sink);
    std::optional<Instant> own;
    if (event_time.size() > 4) {
      if (const auto t = bsd_time(event_time.substr(4), reference_)) own = t->t;  // "Fri Sep 17 16:37:25 2021"
    }
    // The column is the sender's local time without a zone; a header of RFC 5424 is exact.
    happened(sink, h, h.rfc5424 && h.time ? h.time : own);
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override { return begin(h.message) == std::string_view::npos ? 0 : 99; }

 private:
  static constexpr std::string_view kEscaped = "MSWinEventLog#011";  // rsyslog writes a tab so unless it is told not to
  std::string tabs_;

  static std::size_t begin(std::string_view s) {
    std::size_t at = s.find("MSWinEventLog\t");
    if (at == std::string_view::npos) at = s.find(kEscaped);
    return at != std::string_view::npos && at < 80 ? at : std::string_view::npos;
  }

  /// "Subject:   Security ID:  S-1-5-18   Account Name:  SYSTEM    Logon Type:  5": pieces between two or more blanks.
  static void labels(std::string_view s, FieldSink& sink) {
    std::string_view section, label;
    for (std::size_t pieces = 0; !s.empty() && pieces < 400; ++pieces) {
      const std::size_t end = s.find("  ");
      std::string_view piece = s.substr(0, end);
      s.remove_prefix(end == std::string_view::npos ? s.size() : end);
      while (s.starts_with(' ')) s.remove_prefix(1);
      piece = trim(piece);
      if (piece.empty()) continue;
      if (piece.ends_with(':') && piece.size() < 60) {
        if (!label.empty()) section = label;  // two labels behind each other: the first names a section
        label = piece.substr(0, piece.size() - 1);
        continue;
      }
      if (!label.empty() && piece != "-") {
        for (const Label& l : kLabels)
          if (l.label == label && (l.section.empty() || l.section == section)) {
            sink.put(l.name, piece);
            break;
          }
      }
      label = {};
    }
  }
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::windows_syslog_snare
