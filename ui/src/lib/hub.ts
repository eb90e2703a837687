// The shapes of the hub's contract that pages name.
import type { components } from '../generated/api';

type Schemas = components['schemas'];
export type HubOverview = Schemas['HubOverview'];
export type CampaignRow = Schemas['CampaignRow'];
export type Campaign = Schemas['Campaign'];
export type CampaignTown = Schemas['CampaignTown'];
export type CampaignArrow = Schemas['CampaignArrow'];
export type Suspicion = Schemas['Suspicion'];
export type SuspicionQueue = Schemas['SuspicionQueue'];
export type Town = Schemas['Town'];
export type Tile = Schemas['Tile'];
export type TileMap = Schemas['TileMap'];
export type TileState = Schemas['TileState'];
export type SentWarning = Schemas['SentWarning'];
export type SentWarningRow = Schemas['SentWarningRow'];
export type WarningPreview = Schemas['WarningPreview'];
export type WarningText = Schemas['WarningTextView'];
export type MemberNode = Schemas['MemberNode'];
export type MemberMunicipality = Schemas['MemberMunicipality'];
export type HubSetting = Schemas['HubSetting'];
export type TriggerRow = Schemas['TriggerRow'];
export type HubAuditRow = Schemas['HubAuditRow'];
export type SentOrder = Schemas['SentOrder'];
export type Severity = Schemas['Severity'];
