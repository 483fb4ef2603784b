import { ServiceClock } from '../../../plugin/gridtone/server/static/player/schedule.js';

export { ServiceClock };
export type Clock = InstanceType<typeof ServiceClock>;
