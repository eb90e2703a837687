#include "input/sources/microsoft365/apis.hpp"

namespace bavn::input::microsoft365 {
namespace {

using namespace std::chrono_literals;

// Role ids: the application roles of Microsoft Graph and of the Office 365 Management APIs, the same in every tenant. The consent
// script looks each up by name and uses the id only when the name is not found; what it granted stands in its last table.
const Permission kPermissions[] = {
    {"AuditLog.Read.All",
     "b0afded3-3588-46d8-8b3d-9842eff778da",
     Service::graph,
     {"Læse log over logins og ændringer i Entra. Ikke mails, ikke filer.",
      "Lese logg over pålogginger og endringer i Entra. Ikke e-post, ikke filer.",
      "Read the log of sign-ins and of changes in Entra. No mail, no files."}},
    {"Directory.Read.All",
     "7ab1d382-f21e-4acd-a863-ba3e13f7da61",
     Service::graph,
     {"Læse hvilke brugere, programmer og rettigheder der findes. Ændrer intet.",
      "Lese hvilke brukere, programmer og rettigheter som finnes. Endrer ingenting.",
      "Read which users, applications and rights exist. Changes nothing."}},
    {"Policy.Read.All",
     "246dd0d5-5bd0-4def-940b-0421030a5b68",
     Service::graph,
     {"Læse regler: må brugere oprette programmer og give samtykke, er der betinget adgang.",
      "Lese regler: kan brukere opprette programmer og gi samtykke, finnes betinget tilgang.",
      "Read policies: may users register applications and consent, is there conditional access."}},
    {"ExchangeMessageTrace.Read.All",
     "89b20d8a-76e2-4057-867b-9961f800b9a4",
     Service::graph,
     {"Læse hvem der sendte mail til hvem, hvornår og med hvilket emne. Ikke mailens indhold.",
      "Lese hvem som sendte e-post til hvem, når og med hvilket emne. Ikke innholdet.",
      "Read who sent mail to whom, when and with which subject. Not what is in the mail."}},
    {"SecurityAlert.Read.All",
     "472e4a4d-bb4a-4026-98d1-0b0d74cb74a5",
     Service::graph,
     {"Læse alarmer fra Microsoft Defender.", "Lese varsler fra Microsoft Defender.",
      "Read the alerts of Microsoft Defender."}},
    {"IdentityRiskEvent.Read.All",
     "6e472fd1-ad78-48da-a0f0-97ab2c6b769e",
     Service::graph,
     {"Læse hvilke logins Microsoft selv finder mistænkelige.",
      "Lese hvilke pålogginger Microsoft selv finner mistenkelige.",
      "Read which sign-ins Microsoft itself finds suspicious."}},
    {"ThreatHunting.Read.All",
     "dd98c7f5-2d42-42d3-a0e4-633161547251",
     Service::graph,
     {"Læse Defenders tabeller over mails, links og klik. Ikke mailens tekst. Først efter at medarbejderne er "
      "informeret.",
      "Lese Defenders tabeller over e-post, lenker og klikk. Ikke teksten. Først etter at de ansatte er informert.",
      "Read Defender's tables of mails, links and clicks. Not the text of mails. Only after staff were told."}},
    {"ActivityFeed.Read",
     "594c1fb6-4f81-4475-ae41-0c394909246c",
     Service::manage,
     {"Læse den samlede revisionslog: regler i indbakker, videresending, filer, administration.",
      "Lese den samlede revisjonsloggen: innboksregler, videresending, filer, administrasjon.",
      "Read the unified audit log: inbox rules, forwarding, files, administration."}},
};

const Permission kPurgePermissions[] = {
    {"Mail.ReadWrite",
     "e2a3a72e-5f79-4c64-b1b1-878b674786c9",
     Service::graph,
     {"Læse og flytte mails i alle postkasser. Bavn søger kun på Message-ID, læser kun afsender, mappe og hvad en "
      "videresendt mail svarer på, og flytter til 'gendan slettede elementer'. Kan fortrydes.",
      "Lese og flytte e-post i alle postbokser. Bavn søker bare på Message-ID, leser bare avsender, mappe og hva en "
      "videresendt e-post svarer på, og flytter til «gjenopprett slettede elementer». Kan angres.",
      "Read and move mail in every mailbox. Bavn searches by Message-ID only, reads sender, folder and what a forward "
      "answers, and moves to \"recover deleted items\". Can be undone."}},
    {"SecurityAnalyzedMessage.ReadWrite.All",
     "04c55753-2244-4c25-87fc-704ab82a4f69",
     Service::graph,
     {"Bede Defender om at flytte navngivne mails væk og tilbage igen. Giver ikke adgang til mailens tekst. Kræver "
      "licens til Defender.",
      "Be Defender om å flytte navngitte e-poster bort og tilbake igjen. Gir ikke tilgang til teksten. Krever lisens "
      "for Defender.",
      "Ask Defender to move named mails away, and back. Gives no access to the text of mails. Needs a Defender "
      "licence."}},
};

std::vector<Api> make_apis() {
  const Words sign_in_blind{"Overtagne konti ses først, når de gør skade.",
                            "Overtatte kontoer ses først når de gjør skade.",
                            "A taken account is seen only when it does harm."};
  std::vector<Api> out;
  const auto sign_ins = [&](std::string_view name, Words title, std::string_view filter,
                            std::vector<std::string_view> feeds) {
    Api api{};
    api.name = name;
    api.format = "entra_signin";
    api.shape = Shape::list;
    api.title = title;
    api.why = kPermissions[0].why;
    api.blind = sign_in_blind;
    api.permissions = {"AuditLog.Read.All"};
    api.licence = "Entra ID P1";
    api.delay = "2-5 min";
    api.feeds = std::move(feeds);
    api.budget = Budget::reports;
    api.path = "/beta/auditLogs/signIns";  // v1.0 has no session, network number or user agent
    api.time_field = "createdDateTime";
    api.filter = filter;
    api.record_time = "createdDateTime";
    api.record_key = {"id"};
    api.top = 1000;
    api.every = 3min;
    out.push_back(std::move(api));
  };
  sign_ins("signins", {"Logins af personer", "Pålogginger av personer", "Sign-ins of people"}, "",
           {"sign_in/*", "chain/takeover_sign_in_foothold_mass_mail", "chain/odd_sign_in_then_application",
            "chain/odd_sign_in_then_mailbox_hides", "sender notice (second sign)"});
  sign_ins("signins.background",
           {"Logins uden tastatur", "Pålogginger uten tastatur", "Sign-ins without a person at the keys"},
           "signInEventTypes/any(t: t eq 'nonInteractiveUser')",
           {"sign_in/session_from_two_networks", "sign_in/session_with_two_browsers",
            "chain/stolen_session_then_mailbox_hides"});
  sign_ins("signins.apps", {"Logins af programmer", "Pålogginger av programmer", "Sign-ins of applications"},
           "signInEventTypes/any(t: t eq 'servicePrincipal' or t eq 'managedIdentity')",
           {"burst/application_sends_mail_in_bulk"});

  Api audits{};
  audits.name = "audits";
  audits.format = "entra_audit";
  audits.shape = Shape::list;
  audits.title = {"Ændringer i Entra", "Endringer i Entra", "Changes in Entra"};
  audits.why = kPermissions[0].why;
  audits.blind = {"Nye programmer og samtykker ses ikke.", "Nye programmer og samtykker ses ikke.",
                  "New applications and consents are not seen."};
  audits.permissions = {"AuditLog.Read.All", "Directory.Read.All"};
  audits.delay = "2-5 min";
  audits.feeds = {"consent/*", "chain/odd_sign_in_then_application", "chain/takeover_sign_in_foothold_mass_mail"};
  audits.budget = Budget::reports;
  audits.path = "/v1.0/auditLogs/directoryAudits";
  audits.time_field = "activityDateTime";
  audits.record_time = "activityDateTime";
  audits.record_key = {"id"};
  audits.top = 500;
  audits.every = 3min;
  out.push_back(audits);

  Api trace{};
  trace.name = "trace";
  trace.format = "message_trace";
  trace.shape = Shape::list;
  trace.title = {"Hvem mailede til hvem", "Hvem sendte e-post til hvem", "Who mailed whom"};
  trace.why = kPermissions[3].why;
  trace.blind = {"Masseudsendelse fra en overtaget konto ses først i revisionsloggen, op til halvanden time senere.",
                 "Masseutsending fra en overtatt konto ses først i revisjonsloggen, opptil halvannen time senere.",
                 "Mass mail from a taken account is seen only in the audit log, up to an hour and a half later."};
  trace.permissions = {"ExchangeMessageTrace.Read.All"};
  trace.delay = "minutes (measure)";
  trace.feeds = {"burst/*", "chain/takeover_sign_in_foothold_mass_mail", "chain/mailbox_hides_then_mass_mail",
                 "sender notice", "receiver burst"};
  trace.budget = Budget::trace;
  trace.path = "/v1.0/admin/exchange/tracing/messageTraces";
  trace.time_field = "receivedDateTime";
  trace.record_time = "receivedDateTime";
  trace.record_key = {"id", "recipientAddress",
                      "status"};  // the status changes until the mail has arrived: each state is a record
  trace.top = 5000;
  trace.every = 2min;
  trace.look_back = 24h * 10;
  trace.reach = 24h * 90;
  out.push_back(trace);

  Api activity{};
  activity.name = "activity";
  activity.format = "m365_audit";
  activity.shape = Shape::management;
  activity.title = {"Samlet revisionslog", "Samlet revisjonslogg", "Unified audit log"};
  activity.why = kPermissions[7].why;
  activity.blind = {"Regler i indbakker og videresending ses ikke.", "Innboksregler og videresending ses ikke.",
                    "Inbox rules and forwarding are not seen."};
  activity.permissions = {"ActivityFeed.Read"};
  activity.delay = "60-90 min, first blobs up to 12 h";
  activity.feeds = {"mailbox/*", "chain/*_mailbox_hides", "burst/mailbox_sends_thirty_in_ten_minutes",
                    "mail/delivered_mail_was_taken_back"};
  activity.budget = Budget::management;
  activity.every = 5min;
  activity.overlap = 120min;
  activity.window = 23h;  // the service takes at most 24 h, and whole seconds round outwards
  activity.sweep_depth = 36h;
  activity.look_back = 24h * 6;
  out.push_back(activity);

  Api alerts{};
  alerts.name = "alerts";
  alerts.format = "defender_xdr";
  alerts.shape = Shape::list;
  alerts.title = {"Alarmer fra Defender", "Varsler fra Defender", "Alerts of Defender"};
  alerts.why = kPermissions[4].why;
  alerts.blind = {"Microsofts egne alarmer kommer ikke med i sagen.",
                  "Microsofts egne varsler kommer ikke med i saken.",
                  "Microsoft's own alerts do not join the incident."};
  alerts.permissions = {"SecurityAlert.Read.All"};
  alerts.licence = "a Defender plan";
  alerts.delay = "minutes";
  alerts.feeds = {"sign_in/defender_stolen_session", "mail/*"};
  alerts.budget = Budget::security;
  alerts.path = "/v1.0/security/alerts_v2";
  alerts.time_field = "lastUpdateDateTime";  // an alert grows: each state is a record
  alerts.record_time = "lastUpdateDateTime";
  alerts.record_key = {"id", "lastUpdateDateTime"};
  alerts.every = 3min;
  alerts.look_back = 24h * 30;
  alerts.reach = 24h * 30;
  out.push_back(alerts);

  Api risks{};
  risks.name = "risks";
  risks.format = "entra_risk";
  risks.shape = Shape::list;
  risks.title = {"Mistænkelige logins ifølge Microsoft", "Mistenkelige pålogginger ifølge Microsoft",
                 "Suspicious sign-ins as Microsoft sees them"};
  risks.why = kPermissions[5].why;
  risks.blind = {"Microsofts vurdering af logins mangler; Bavns egne regler ser stadig på dem.",
                 "Microsofts vurdering av pålogginger mangler; Bavns egne regler ser fortsatt på dem.",
                 "Microsoft's own verdict is missing; Bavn's rules still look at the sign-ins."};
  risks.permissions = {"IdentityRiskEvent.Read.All"};
  risks.licence = "Entra ID P2 (P1 gives less)";
  risks.delay = "minutes";
  risks.feeds = {"sign_in/risk_stolen_session", "chain/risk_then_change_in_tenant",
                 "chain/takeover_sign_in_foothold_mass_mail"};
  risks.budget = Budget::reports;
  risks.path = "/v1.0/identityProtection/riskDetections";
  risks.time_field = "detectedDateTime";
  risks.record_time = "detectedDateTime";
  risks.record_key = {"id", "riskState", "riskLevel"};
  risks.every = 5min;
  risks.look_back = 24h * 30;
  risks.reach = 24h * 90;
  out.push_back(risks);

  Api hunting{};
  hunting.name = "mail";
  hunting.format = "defender_xdr";
  hunting.shape = Shape::hunting;
  hunting.title = {"Links og klik", "Lenker og klikk", "Links and clicks"};
  hunting.why = kPermissions[6].why;
  hunting.blind = {"Links i mails og hvem der klikkede ses ikke.", "Lenker i e-post og hvem som klikket ses ikke.",
                   "Links in mail, and who clicked, are not seen."};
  hunting.permissions = {"ThreatHunting.Read.All"};
  hunting.licence = "Defender for Office 365 Plan 2 (or E5)";
  hunting.delay = "5-15 min";
  hunting.feeds = {"mail/*", "burst/same_link_mail_to_many", "sign_in/sign_in_minutes_after_click", "keyed digests",
                   "indicators of kind url and domain in mail"};
  hunting.budget = Budget::hunting;
  hunting.path = "/v1.0/security/runHuntingQuery";
  hunting.every = 5min;
  hunting.look_back = 24h * 7;
  hunting.reach = 24h * 30;
  out.push_back(hunting);

  Api settings{};
  settings.name = "settings";
  settings.format = "entra_audit";
  settings.shape = Shape::settings;
  settings.title = {"Programmer, rettigheder og regler", "Programmer, rettigheter og regler",
                    "Applications, rights and policies"};
  settings.why = kPermissions[1].why;
  settings.blind = {"Gamle programmer med adgang til mail opdages ikke.",
                    "Gamle programmer med tilgang til e-post oppdages ikke.",
                    "Old applications that may read or send mail are not found."};
  settings.permissions = {"Directory.Read.All", "Policy.Read.All"};
  settings.delay = "1 h (a picture every hour)";
  settings.feeds = {"value from the past: applications that may send mail", "settings check of the municipality"};
  settings.every = 60min;
  out.push_back(settings);
  return out;
}

}  // namespace

std::span<const Api> apis() {
  static const std::vector<Api> all = make_apis();
  return all;
}

const Api* api_named(std::string_view name) {
  for (const auto& api : apis())
    if (api.name == name) return &api;
  return nullptr;
}

std::span<const Permission> permissions() {
  return kPermissions;
}

std::span<const Permission> purge_permissions() {
  return kPurgePermissions;
}

}  // namespace bavn::input::microsoft365
