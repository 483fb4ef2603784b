"""A real grid to listen to: SimBench's `1-HV-mixed--0-sw`, solved by pandapower over its year, published over MQTT.

    options  -> what can be chosen
    grid        the data, and the step of the year to begin with
    disturbances, simulation   pure: one list of point values a step
    faults      doubtful and silent telemetry
    gateway     publishes, as a substation gateway would; a process of its own
    broker      for those who have none
    year        a year of it as a recording

Needs the extra `demo`. Nothing here is imported by `gridtone serve` on a site.
"""
