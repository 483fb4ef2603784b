import { type Service } from '../service/service';
import { ServiceClock } from './clock';
import { Connection, type Link } from './connection';

class FakeEventSource extends EventTarget {
  static readonly CLOSED = 2;
  static opened: FakeEventSource[] = [];
  readyState = 1;
  constructor(readonly url: string) {
    super();
    FakeEventSource.opened.push(this);
  }
  close() {
    this.readyState = 2;
  }
  say(kind: string, data: unknown) {
    this.dispatchEvent(new MessageEvent(kind, { data: JSON.stringify(data) }));
  }
}

const CUE = { id: 1 };
const STANDING = { state: 'low' };

function start(ask: (path: string) => Promise<unknown>) {
  const links: Link[] = [];
  const heard: unknown[] = [];
  const clock = new ServiceClock();
  const service = { base: '/proxy/gridtone/api/v1', ask } as unknown as Service;
  const connection = new Connection(service, clock, {
    cue: (cue) => heard.push(cue),
    standing: (standing) => heard.push(standing),
    link: (link) => links.push(link),
  });
  connection.open();
  return { connection, clock, links, heard };
}

beforeEach(() => {
  jest.useFakeTimers();
  FakeEventSource.opened = [];
  Object.assign(globalThis, { EventSource: FakeEventSource });
});
afterEach(() => jest.useRealTimers());

const never = () => new Promise<unknown>(() => undefined);
const works = async (path: string) => ({ data: path === 'cue' ? CUE : STANDING, time: 5000 + performance.now() / 1000 });

describe('Connection', () => {
  it('hears events, keeps the service time, and asks for nothing while heartbeats come', async () => {
    const ask = jest.fn(never);
    const { links, heard, clock, connection } = start(ask);
    const [source] = FakeEventSource.opened;
    expect(source.url).toBe('/proxy/gridtone/api/v1/events');
    for (let i = 0; i < 10; i++) {
      source.say('heartbeat', { time: 9000 + performance.now() / 1000 });
      await jest.advanceTimersByTimeAsync(2000);
    }
    source.say('cue', CUE);
    expect(heard).toEqual([CUE]);
    expect(clock.now() - performance.now() / 1000).toBeCloseTo(9000, 1);
    expect(links).toEqual(['live']);
    expect(ask).not.toHaveBeenCalled();
    connection.close();
  });

  it('is lost five seconds after the last word, also when questions hang, and comes back', async () => {
    const { links, connection } = start(never);
    FakeEventSource.opened[0].say('heartbeat', { time: 1 });
    await jest.advanceTimersByTimeAsync(5000);
    expect(links).toEqual(['live']);
    await jest.advanceTimersByTimeAsync(1000);
    expect(links).toEqual(['live', 'lost']);
    FakeEventSource.opened[0].say('heartbeat', { time: 7 });
    expect(links).toEqual(['live', 'lost', 'live']);
    connection.close();
  });

  it('asks every second where a proxy holds events back, and tries events again', async () => {
    const ask = jest.fn(works);
    const { links, heard, connection } = start(ask);
    await jest.advanceTimersByTimeAsync(4900);
    expect(links).toEqual(['polling']);
    expect(heard.slice(0, 2)).toEqual([STANDING, CUE]);
    await jest.advanceTimersByTimeAsync(20_000);
    expect(links).toEqual(['polling']);
    expect(ask.mock.calls.length).toBeGreaterThan(30);
    expect(FakeEventSource.opened.length).toBe(2);
    FakeEventSource.opened[1].say('heartbeat', { time: 7 });
    expect(links).toEqual(['polling', 'live']);
    connection.close();
  });

  it('says why nothing is heard', async () => {
    const problems: unknown[] = [];
    const service = { base: '', ask: () => Promise.reject({ status: 400, data: 'Authentication to data source failed', config: {} }) } as unknown as Service;
    const connection = new Connection(service, new ServiceClock(), {
      cue: () => undefined,
      standing: () => undefined,
      link: (link, problem) => problems.push([link, problem?.code]),
    });
    connection.open();
    await jest.advanceTimersByTimeAsync(6000);
    expect(problems).toContainEqual(['lost', 'token']);
    connection.close();
    const opened = FakeEventSource.opened.length;
    await jest.advanceTimersByTimeAsync(60_000);
    expect(FakeEventSource.opened.length).toBe(opened);
  });
});
